// What ttrpc needs from its surroundings: a connection and a clock. Node's sockets and the guest's both fit behind it.

/** One connection, both directions. */
export interface ByteStream {
  /** The next bytes that arrived, undefined at the end of the stream. One call at a time. @throws when the connection broke */
  read(): Promise<Uint8Array | undefined>;
  /**
   * Sends all of `bytes`, which must not change until the promise settles; settles when more may be sent.
   * Calls are sent in their order. @throws when the connection broke
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the connection: a pending or later `read` gives undefined. May be called again. */
  close(): void;
}

/** Calls back after some time. */
export interface Timers {
  /** Runs `action` once after `delayMs` milliseconds, unless the function that is given back is called before. */
  after(delayMs: number, action: () => void): () => void;
}
