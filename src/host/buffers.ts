// Lists of buffers that are read or written as if they were one.

/** What is left of the buffers after their first `count` bytes; views, no copies. */
export function withoutStart(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count;
  const rest: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(buffer.subarray(skip));
    skip = Math.max(0, skip - buffer.length);
  }
  return rest;
}

/** Copies from the start of one list to the start of the other, as much as both have. @returns bytes */
export function copyBuffers(from: readonly Uint8Array[], to: readonly Uint8Array[]): number {
  const targets = to.values();
  let target: Uint8Array = new Uint8Array();
  let copied = 0;
  for (const source of from) {
    for (let rest = source; rest.length > 0; ) {
      while (target.length === 0) {
        const next = targets.next();
        if (next.done === true) return copied;
        target = next.value;
      }
      const piece = rest.subarray(0, target.length);
      target.set(piece);
      target = target.subarray(piece.length);
      rest = rest.subarray(piece.length);
      copied += piece.length;
    }
  }
  return copied;
}
