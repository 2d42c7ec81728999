// Which blocks of a region are plugged.

/** Neighbouring blocks. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

export class BlockMap {
  /** A byte per block: 1 where it is plugged. */
  readonly #blocks: Uint8Array;
  #pluggedCount = 0;

  /** @param length number of blocks, none of them plugged */
  constructor(length: number) {
    this.#blocks = new Uint8Array(length);
  }

  get pluggedCount(): number {
    return this.#pluggedCount;
  }

  /** Whether the range is not empty and within the region. */
  has({ first, count }: BlockRange): boolean {
    return first >= 0 && count > 0 && first + count <= this.#blocks.length;
  }

  set(block: number, isPlugged: boolean): void {
    const value = isPlugged ? 1 : 0;
    this.#pluggedCount += value - (this.#blocks[block] ?? value);
    this.#blocks[block] = value;
  }

  /** @returns undefined when some of the range is plugged and some is not */
  state({ first, count }: BlockRange): 'plugged' | 'unplugged' | undefined {
    const blocks = this.#blocks.subarray(first, first + count);
    if (!blocks.includes(0)) return 'plugged';
    return blocks.includes(1) ? undefined : 'unplugged';
  }

  /** The plugged blocks, in order, neighbours joined. */
  *pluggedRanges(): Generator<BlockRange> {
    for (let end = 0; ; ) {
      const first = this.#blocks.indexOf(1, end);
      if (first < 0) return;
      const next = this.#blocks.indexOf(0, first);
      end = next < 0 ? this.#blocks.length : next;
      yield { first, count: end - first };
    }
  }

  /** The plugged blocks, in order. */
  plugged(): number[] {
    return [...this.pluggedRanges()].flatMap(numbersOf);
  }
}

/** The numbers of the blocks of a range. */
export function numbersOf({ first, count }: BlockRange): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
