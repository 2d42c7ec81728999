// How many bytes many may hold together.

export class ByteBudget {
  #left: number;

  /** @param max bytes; Infinity where somebody else sees to the limit */
  constructor(max: number) {
    this.#left = max;
  }

  /** @returns false when there is not so much left: nothing is taken then */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Counts what is held already, and cannot be refused any more. */
  add(bytes: number): void {
    this.#left -= bytes;
  }

  /** Gives back what was taken or added. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}
