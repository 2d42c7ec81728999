// Brings the host's stream connections and the processes' streams together, by the token in the first line.
import type { StdioRequest } from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import { log } from '../log.ts';
import { readFirstLine } from './first-line.ts';
import { ProcessStreams } from './process-streams.ts';

/** Longest first line: 128 digits, a space, a name and a line feed. */
const LINE_BYTES_MAX = 128 + 1 + 'terminal'.length + 1;
/** Connections that may be about to say what they are for, at once: three for each of hundreds of processes. */
export const ANONYMOUS_MAX = 512;

export class StreamRegistry {
  readonly #loop: EventLoop;
  readonly #streams = new Map<string, ProcessStreams>();

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** Makes the streams of a process known under their token. @throws StatusError for a token that is none or is in use */
  add(request: StdioRequest): ProcessStreams {
    const streams = new ProcessStreams(this.#loop);
    const wanted = request.terminal || request.stdin || request.stdout || request.stderr;
    if (!wanted) return streams;
    const { token } = request;
    if (!/^[0-9a-fA-F]{32,128}$/.test(token)) {
      throw new StatusError(
        'INVALID_ARGUMENT',
        'the token of the standard streams must be 32 to 128 hexadecimal digits',
      );
    }
    if (this.#streams.has(token)) {
      throw new StatusError('ALREADY_EXISTS', 'the token of the standard streams is in use: choose an unguessable one');
    }
    this.#streams.set(token, streams);
    void streams.finished.then(() => this.#forget(token, streams));
    return streams;
  }

  /** Lets nobody take these streams any more: see `ProcessStreams.abandon`. */
  remove(request: StdioRequest, streams: ProcessStreams): void {
    this.#forget(request.token, streams);
    streams.abandon();
  }

  #forget(token: string, streams: ProcessStreams): void {
    if (this.#streams.get(token) === streams) this.#streams.delete(token);
  }

  /** Handles a new connection: a non-blocking socket, which it owns from here on. Settles when it knows what that is for. */
  async connect(fd: number): Promise<void> {
    const socket = new Pollable(this.#loop, fd);
    const line = await readFirstLine(this.#loop, socket, LINE_BYTES_MAX);
    const [token = '', name = ''] = line?.split(' ') ?? [];
    const streams = this.#streams.get(token);
    if (line === undefined || streams === undefined || !streams.attach(name, socket)) {
      if (!socket.closed) log('closed a stream connection: no such token or stream, or it is taken');
      socket.close();
    }
  }
}
