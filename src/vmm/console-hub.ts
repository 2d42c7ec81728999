// One console of the guest and all who read it: each gets the whole output, each may write.
import type { ConsoleAttachment, ConsoleReader } from './operations.ts';

export class ConsoleHub {
  readonly #input: ConsoleAttachment['write'];
  readonly #readers = new Set<{ readonly read: ConsoleReader }>();

  /** @param input takes bytes for the guest, as ConsoleAttachment.write does */
  constructor(input: ConsoleAttachment['write']) {
    this.#input = input;
  }

  /** Bytes from the guest. @returns a promise when the guest is to wait with more, for the slowest of the readers */
  output(bytes: Uint8Array): Promise<void> | undefined {
    const busy = [...this.#readers].flatMap(({ read }) => read(bytes) ?? []);
    return busy.length === 0 ? undefined : Promise.all(busy).then(() => undefined);
  }

  attach(read: ConsoleReader): ConsoleAttachment {
    const entry = { read };
    this.#readers.add(entry);
    return {
      write: (bytes) => (this.#readers.has(entry) ? this.#input(bytes) : undefined),
      [Symbol.dispose]: () => void this.#readers.delete(entry),
    };
  }
}
