// Items between one who has them now and one who takes them later: a bounded queue that is read with `for await`.

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** A queue for one reader. It knows at once when the reader leaves, and holds no more than it was told to. */
export class ItemQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #items: { readonly item: T; readonly weight: number }[] = [];
  readonly #waiting: Waiting<T>[] = [];
  readonly #weightMax: number;
  readonly #onReturn: () => void;
  #weight = 0;
  #ending: { readonly error: unknown } | undefined;

  /**
   * @param weightMax what all items that wait may weigh
   * @param onReturn called once when the reader leaves before the end, by `break` or by `return()`
   */
  constructor(weightMax: number, onReturn: () => void = () => {}) {
    this.#weightMax = weightMax;
    this.#onReturn = onReturn;
  }

  /** Adds an item, unless the queue has ended. @returns false when the item does not fit: it is not taken then */
  push(item: T, weight = 1): boolean {
    if (this.#ending !== undefined) return true;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: item });
      return true;
    }
    if (this.#weight + weight > this.#weightMax) return false;
    this.#weight += weight;
    this.#items.push({ item, weight });
    return true;
  }

  /** Says that no more items come; those that wait are still read. @param error what the reader is told after them */
  end(error?: unknown): void {
    if (this.#ending !== undefined) return;
    this.#ending = { error };
    for (const waiting of this.#waiting.splice(0)) this.#nextEnding().then(waiting.resolve, waiting.reject);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const first = this.#items.shift();
    if (first !== undefined) {
      this.#weight -= first.weight;
      return Promise.resolve({ done: false, value: first.item });
    }
    if (this.#ending !== undefined) return this.#nextEnding();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    const left = this.#ending === undefined;
    this.#items.length = 0;
    this.#weight = 0;
    this.end();
    this.#ending = { error: undefined };
    if (left) this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The end, as one reader hears it: an error is told once, and from then on that it is over. */
  #nextEnding(): Promise<IteratorResult<T, undefined>> {
    const error = this.#ending?.error;
    this.#ending = { error: undefined };
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }
}
