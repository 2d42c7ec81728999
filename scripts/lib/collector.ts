// A stream that keeps what is written to it.
import { Writable } from 'node:stream';

export interface Collector {
  readonly stream: Writable;
  /** All that has come so far. */
  bytes(): Buffer;
}

export function collector(): Collector {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(chunks) };
}
