// How a program that holds a VM ends: by what happens first, in order; by what happens second, at once.
import { messageOf } from '../lib/errors.ts';
import { statusOfSignal } from '../oci/signals.ts';

/** Exit statuses beside 0, 1 and 2, as shells and coreutils have them. */
export const EXIT_STATUS = {
  /** --timeout ended it, as of timeout(1). */
  timedOut: 124,
  /** It was killed through the API: 128 + SIGKILL. */
  killed: 137,
  /** Nobody reads the output any more (`tsvm boot ... | head`): 128 + SIGPIPE. */
  brokenPipe: 141,
} as const;

/** timeout(1) sends its signal to its child and to the process group: the child gets it twice, and means it once. */
const SAME_SIGNAL_MS = 200;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Watches for signals, a broken standard output and errors that nobody caught. The first of them decides the exit status and
 * begins the end; a further signal ends the process at once.
 */
export class Ending implements Disposable {
  /** Settles with the exit status when something asks for the end. */
  readonly asked: Promise<number>;
  readonly #ask: (status: number) => void;
  readonly #resources = new DisposableStack();
  #status: number | undefined;
  /** On the clock of performance.now(). */
  #askedAt = 0;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.asked = promise;
    this.#ask = resolve;
    for (const [signal, number] of Object.entries(SIGNAL_NUMBERS)) {
      this.#listen(process, signal, () => {
        if (this.#status === undefined) this.end(statusOfSignal(number));
        else if (performance.now() - this.#askedAt > SAME_SIGNAL_MS) process.exit(statusOfSignal(number));
      });
    }
    this.#listen(process.stdout, 'error', () => this.end(EXIT_STATUS.brokenPipe));
    this.#listen(process.stderr, 'error', () => undefined);
    this.#listen(process, 'uncaughtException', (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
      process.stderr.write(`tsvm: a defect of tsvm, the VM ends: ${text}\n`);
      this.end(1);
    });
  }

  /** The exit status, once something asked for the end. */
  get status(): number | undefined {
    return this.#status;
  }

  end(status: number): void {
    if (this.#status !== undefined) return;
    this.#status = status;
    this.#askedAt = performance.now();
    this.#ask(status);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #listen(emitter: NodeJS.EventEmitter, event: string, listener: (...args: never[]) => void): void {
    emitter.on(event, listener as () => void);
    this.#resources.defer(() => void emitter.off(event, listener as () => void));
  }
}
