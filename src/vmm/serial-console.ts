// A serial port with a person or a log at its other end: output in pieces instead of bytes, input that waits for room.

import { SerialPort, type SerialPortState } from '../devices/legacy/serial.ts';
import { SavedFields } from '../devices/saved-state.ts';

/** Output is passed on at the end of a line, when so much has gathered, and when the event loop comes round. */
const OUTPUT_PIECE = 1024;
const LINE_FEED = 0x0a;
/** Bytes that may wait for the guest before who gives them is asked to wait. */
const MAX_PENDING_INPUT = 64 * 1024;
/** So much of what waits for the port can be in a saved state, bytes. */
const SAVED_INPUT_MAX = 1024 * 1024;

export interface SerialConsoleOptions {
  readonly setInterrupt: (level: boolean) => void;
  readonly output: (bytes: Uint8Array) => void;
}

/** Plain JSON. */
export interface SerialConsoleState {
  readonly port: SerialPortState;
  /** Bytes that wait for room in the port. */
  readonly incoming: readonly number[];
}

export class SerialConsole implements Disposable {
  readonly port: SerialPort;
  readonly #output: (bytes: Uint8Array) => void;
  #outgoing: number[] = [];
  #flushScheduled = false;
  #incoming: Uint8Array = new Uint8Array(0);
  /** There while too much waits. */
  #room: PromiseWithResolvers<void> | undefined;
  #hasEnded = false;

  constructor({ setInterrupt, output }: SerialConsoleOptions) {
    this.#output = output;
    this.port = new SerialPort({
      setInterrupt,
      transmit: (byte) => this.#transmit(byte),
      readyToReceive: () => this.#feed(),
    });
  }

  /**
   * Bytes for the guest: kept until the port has room. After the end they are nobody's: there is no interrupt line then.
   * @returns a promise when so much waits that more should wait elsewhere until it has settled
   */
  input(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#hasEnded) return undefined;
    const joined = new Uint8Array(this.#incoming.length + bytes.length);
    joined.set(this.#incoming);
    joined.set(bytes, this.#incoming.length);
    this.#incoming = joined;
    this.#feed();
    if (this.#incoming.length < MAX_PENDING_INPUT) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** Passes on what the guest has sent, and gives the rest. */
  saveState(): SerialConsoleState {
    this.#flush();
    return { port: this.port.saveState(), incoming: [...this.#incoming.subarray(0, SAVED_INPUT_MAX)] };
  }

  /** As for SerialPort.restoreState. @throws SavedStateError */
  restoreState(state: unknown): void {
    const fields = new SavedFields('serial console', state);
    this.port.restoreState(fields.value('port'));
    void this.input(Uint8Array.from(fields.bytes('incoming', SAVED_INPUT_MAX)));
  }

  [Symbol.dispose](): void {
    this.#hasEnded = true;
    this.#flush();
    this.#room?.resolve();
  }

  #feed(): void {
    if (this.#incoming.length > 0) this.#incoming = this.#incoming.subarray(this.port.receive(this.#incoming));
    if (this.#incoming.length >= MAX_PENDING_INPUT) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  #transmit(byte: number): void {
    this.#outgoing.push(byte);
    if (byte === LINE_FEED || this.#outgoing.length >= OUTPUT_PIECE) this.#flush();
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#outgoing.length > 0) this.#output(Uint8Array.from(this.#outgoing.splice(0)));
  }
}
