// Bytes that come in pieces, as lines.

/** A console that never ends its line must not fill the memory: longer lines are cut here. */
const LINE_LENGTH_MAX = 4096;

export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';

  /** @param onLine gets each line without its line feed and carriage return */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_LENGTH_MAX) {
      lines.push(this.#rest);
      this.#rest = '';
    }
    for (const line of lines) this.#onLine(line.replace(/\r$/, ''));
  }
}
