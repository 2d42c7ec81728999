// Work that may wait inside the kernel for as long as somebody likes: for a disk, or for a server of files. The agent has one thread; a copy of it waits instead.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import { messageOf } from '../../src/lib/errors.ts';
import { StatusError, type StatusName } from '../../src/protocol/status.ts';
import { appended } from './bytes.ts';
import { codeOf } from './container/channel.ts';
import { type EventLoop, Pollable } from './event-loop.ts';
import * as abi from './linux/abi.gen.ts';
import { close, tryRead, writeAll } from './linux/file.ts';
import { closeFrom, duplicateForSetUp, exit, fork } from './linux/process.ts';
import { pipe, setNonBlocking } from './linux/socket.ts';
import { requireDescriptors } from './open-file-limit.ts';
import type { Reaper } from './reaper.ts';

/** Where a helper writes its answer. */
const ANSWER_FD = 3;
/** How an answer begins: with what the work gave, or with an error. */
const [DONE, FAILED] = [0, 1];
/** Bytes taken from an answer at once: what a pipe holds (pipe(7), "Pipe capacity"). */
const READ_BYTES = 65_536;

interface Failure {
  readonly code: StatusName;
  readonly message: string;
}

export class Helpers {
  readonly #loop: EventLoop;
  readonly #reaper: Reaper;

  constructor(loop: EventLoop, reaper: Reaper) {
    this.#loop = loop;
    this.#reaper = reaper;
  }

  /**
   * Does work in a child: in the agent's namespaces, and with none of its descriptors. What it changes in memory stays there.
   * @throws StatusError of the work; RESOURCE_EXHAUSTED when descriptors are short
   */
  async run(work: () => Uint8Array): Promise<Uint8Array> {
    requireDescriptors();
    const [readEnd, writeEnd] = pipe();
    let pid: number;
    try {
      pid = fork(0);
    } catch (error) {
      close(readEnd);
      close(writeEnd);
      throw error;
    }
    if (pid === 0) help(writeEnd, work);
    close(writeEnd);
    setNonBlocking(readEnd);
    const ended = this.#reaper.ending(pid);
    const answer = await readAnswer(new Pollable(this.#loop, readEnd));
    await ended;
    return take(answer);
  }
}

/** Runs in the child. */
function help(answer: number, work: () => Uint8Array): never {
  try {
    duplicateForSetUp(answer, ANSWER_FD);
    // Ends of pipes among them, whose other ends would never see the end of file while this process waits.
    closeFrom(ANSWER_FD + 1);
    send(DONE, work());
  } catch (error) {
    const code = error instanceof StatusError ? error.code : codeOf(error);
    send(FAILED, encodeUtf8(JSON.stringify({ code, message: messageOf(error) } satisfies Failure)));
  }
  exit(0);
}

function send(kind: number, bytes: Uint8Array): void {
  writeAll(ANSWER_FD, appended(Uint8Array.of(kind), bytes), 'the answer of a helper');
}

async function readAnswer(source: Pollable): Promise<Uint8Array> {
  let answer: Uint8Array = new Uint8Array(0);
  const part = new Uint8Array(READ_BYTES);
  for (;;) {
    const length = tryRead(source.fd, part);
    if (length > 0) answer = appended(answer, part.subarray(0, length));
    else if (length === -abi.EAGAIN) await source.readable();
    else break;
  }
  source.close();
  return answer;
}

function take(answer: Uint8Array): Uint8Array {
  const rest = answer.subarray(1);
  if (answer[0] === DONE) return rest;
  if (answer[0] !== FAILED) throw new StatusError('INTERNAL', 'a helper of the agent has ended without an answer');
  const { code, message } = JSON.parse(decodeUtf8(rest)) as Failure;
  throw new StatusError(code, message);
}
