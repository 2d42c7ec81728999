// Console output that a reader has not taken yet: the newest of it, and how much of the rest is lost.

/** Bytes kept for a reader. */
export const CONSOLE_BACKLOG_BYTES = 1024 * 1024;
/** Bytes passed on together at most. */
const PIECE_BYTES = 32 * 1024;

export type ConsolePiece = { readonly output: Uint8Array } | { readonly lostBytes: number };

export class ConsoleBacklog {
  readonly #limit: number;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #lost = 0;

  constructor(limit = CONSOLE_BACKLOG_BYTES) {
    this.#limit = limit;
  }

  /** Keeps a copy. */
  push(bytes: Uint8Array): void {
    const kept = bytes.slice(Math.max(0, bytes.length - this.#limit));
    this.#lost += bytes.length - kept.length;
    this.#chunks.push(kept);
    this.#length += kept.length;
    while (this.#length > this.#limit) {
      const dropped = this.#chunks.shift()?.length ?? 0;
      this.#length -= dropped;
      this.#lost += dropped;
    }
  }

  /** Takes the oldest out: first the number of bytes that were lost before what is kept. */
  take(): ConsolePiece | undefined {
    if (this.#lost > 0) {
      const lostBytes = this.#lost;
      this.#lost = 0;
      return { lostBytes };
    }
    if (this.#length === 0) return undefined;
    const taken: Uint8Array[] = [];
    let length = 0;
    while (length < PIECE_BYTES && this.#chunks.length > 0) {
      const chunk = this.#chunks.shift() ?? new Uint8Array();
      const part = chunk.subarray(0, PIECE_BYTES - length);
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length));
      taken.push(part);
      length += part.length;
    }
    this.#length -= length;
    return { output: Buffer.concat(taken, length) };
  }
}
