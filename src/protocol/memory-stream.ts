// Two ends of a connection in memory, for tests of whatever speaks over a `ByteStream`.
import type { ByteStream } from './byte-stream.ts';

/** One end. What is written to it is read at the other. */
class MemoryEnd implements ByteStream {
  readonly #arrived: Uint8Array[] = [];
  #waiting: ((bytes: Uint8Array | undefined) => void) | undefined;
  #ended = false;
  peer: MemoryEnd | undefined;

  read(): Promise<Uint8Array | undefined> {
    const next = this.#arrived.shift();
    if (next !== undefined || this.#ended) return Promise.resolve(next);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#ended) return Promise.reject(new Error('the connection is closed'));
    this.peer?.arrive(bytes.slice());
    return Promise.resolve();
  }

  close(): void {
    this.end();
    this.peer?.end();
  }

  private arrive(bytes: Uint8Array): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#arrived.push(bytes);
    else waiting(bytes);
  }

  private end(): void {
    this.#ended = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(undefined);
  }
}

/** A connection. Bytes arrive in the pieces in which they were written; closing one end ends both. */
export function memoryConnection(): [ByteStream, ByteStream] {
  const first = new MemoryEnd();
  const second = new MemoryEnd();
  first.peer = second;
  second.peer = first;
  return [first, second];
}
