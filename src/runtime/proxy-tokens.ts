// Brings proxies and the processes for which they stand together: by tokens, whoever of the two comes first.
import { StatusError } from '../protocol/status.ts';

/** How long a proxy may take to come, milliseconds: it is started when the call is made. */
const ARRIVAL_MS = 30_000;

interface Meeting<Process> {
  readonly arrival: PromiseWithResolvers<void>;
  /** Settles when the process is made. */
  readonly process: PromiseWithResolvers<Process>;
  isClaimed: boolean;
}

export class ProxyTokens<Process> {
  readonly #meetings = new Map<string, Meeting<Process>>();

  /**
   * Makes a process and gives it to the proxy with this token; a failure is told to both sides.
   * @throws what `make` throws
   */
  async fulfil<Result>(token: string, process: Process, make: () => Promise<Result>): Promise<Result> {
    const meeting = this.#meeting(token);
    try {
      const result = await make();
      meeting.process.resolve(process);
      return result;
    } catch (error) {
      meeting.process.reject(error);
      throw error;
    }
  }

  /** Settles when the proxy with this token is there. @throws StatusError DEADLINE_EXCEEDED */
  async arrival(token: string): Promise<void> {
    const { arrival } = this.#meeting(token);
    const timer = setTimeout(() => {
      this.#meetings.delete(token);
      arrival.reject(new StatusError('DEADLINE_EXCEEDED', `no proxy came for the process within ${ARRIVAL_MS} ms`));
    }, ARRIVAL_MS);
    try {
      await arrival.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The proxy with this token is there.
   * @returns its process, once that is made
   * @throws why it could not be made; or that the token has its proxy already
   */
  async claim(token: string): Promise<Process> {
    const meeting = this.#meeting(token);
    if (meeting.isClaimed) throw new Error('these streams have their proxy already');
    meeting.isClaimed = true;
    meeting.arrival.resolve();
    return await meeting.process.promise;
  }

  /** Nothing more is to come of this token. */
  forget(token: string): void {
    this.#meetings.delete(token);
  }

  #meeting(token: string): Meeting<Process> {
    const known = this.#meetings.get(token);
    if (known !== undefined) return known;
    const meeting = {
      arrival: Promise.withResolvers<void>(),
      process: Promise.withResolvers<Process>(),
      isClaimed: false,
    };
    // Either side may never ask.
    meeting.arrival.promise.catch(() => {});
    meeting.process.promise.catch(() => {});
    this.#meetings.set(token, meeting);
    return meeting;
  }
}
