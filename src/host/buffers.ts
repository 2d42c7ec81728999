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
