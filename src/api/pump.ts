// Writes to one caller as fast as it reads, and keeps nothing by itself: what waits is in a queue that its owner bounds.

/** What of a gRPC stream is needed to write to it. */
export interface MessageSink<Message> {
  /** @returns false when the stream holds enough: then 'drain' tells when it takes more */
  write(message: Message): boolean;
  once(event: 'drain', listener: () => void): unknown;
  end(): unknown;
}

export class Pump<Message> {
  readonly #sink: MessageSink<Message>;
  readonly #next: () => Message | undefined;
  #state: 'open' | 'finishing' | 'closed' = 'open';
  #isBlocked = false;

  /** @param next takes the next message out of the queue */
  constructor(sink: MessageSink<Message>, next: () => Message | undefined) {
    this.#sink = sink;
    this.#next = next;
  }

  /** There is something new in the queue. */
  wake(): void {
    while (!this.#isBlocked && this.#state !== 'closed') {
      const message = this.#next();
      if (message === undefined) {
        if (this.#state === 'finishing') this.#end();
        return;
      }
      if (!this.#sink.write(message)) this.#block();
    }
  }

  /** Ends the stream when the queue is empty. */
  finish(): void {
    if (this.#state === 'open') this.#state = 'finishing';
    this.wake();
  }

  /** Writes nothing more. */
  close(): void {
    this.#state = 'closed';
  }

  #block(): void {
    this.#isBlocked = true;
    this.#sink.once('drain', () => {
      this.#isBlocked = false;
      this.wake();
    });
  }

  #end(): void {
    this.#state = 'closed';
    this.#sink.end();
  }
}
