// A set of byte ranges, kept as few as they can be.

interface Range {
  start: number;
  end: number;
}

export class PageRanges {
  readonly #ranges: Range[] = [];

  /** Ranges that do not touch each other. */
  get count(): number {
    return this.#ranges.length;
  }

  /** Whether all of start to end (exclusive) is in the set. */
  covers(start: number, end: number): boolean {
    const range = this.#ranges[this.#firstThatEndsAt(start)];
    return range !== undefined && range.start <= start && end <= range.end;
  }

  /** Whether start to end (exclusive) overlaps or continues a range of the set: adding it then makes no range more. */
  touches(start: number, end: number): boolean {
    const range = this.#ranges[this.#firstThatEndsAt(start)];
    return range !== undefined && range.start <= end;
  }

  add(start: number, end: number): void {
    const first = this.#firstThatEndsAt(start);
    let behind = first;
    const merged = { start, end };
    for (let range = this.#ranges[behind]; range !== undefined && range.start <= end; range = this.#ranges[behind]) {
      merged.start = Math.min(merged.start, range.start);
      merged.end = Math.max(merged.end, range.end);
      behind += 1;
    }
    this.#ranges.splice(first, behind - first, merged);
  }

  /** Position of the first range that does not end before `address`. */
  #firstThatEndsAt(address: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.end ?? 0) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
