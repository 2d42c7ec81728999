// One console of the guest and all who read it: each gets the whole output, each may write.
import type { ConsoleAttachment, ConsoleReader } from './operations.ts';

export interface ConsoleHubOptions {
  /** Takes bytes for the guest. @returns false when it has not read what came before; `drained` tells when it has */
  readonly input: (bytes: Uint8Array) => boolean;
}

export class ConsoleHub {
  readonly #options: ConsoleHubOptions;
  readonly #readers = new Set<{ readonly reader: ConsoleReader }>();

  constructor(options: ConsoleHubOptions) {
    this.#options = options;
  }

  /** Bytes from the guest. */
  output(bytes: Uint8Array): void {
    for (const { reader } of [...this.#readers]) reader.output(bytes);
  }

  /** The guest has read what was written. */
  drained(): void {
    for (const { reader } of [...this.#readers]) reader.drain?.();
  }

  attach(reader: ConsoleReader): ConsoleAttachment {
    const entry = { reader };
    this.#readers.add(entry);
    return {
      write: (bytes) => !this.#readers.has(entry) || this.#options.input(bytes),
      [Symbol.dispose]: () => void this.#readers.delete(entry),
    };
  }
}
