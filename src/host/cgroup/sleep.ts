// A pause in which nothing else is to happen.

export function sleepSync(timeMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, timeMs);
}
