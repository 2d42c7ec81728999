// What a container uses, asked of the agent of its guest.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import type { EventLoop } from '../../guest-agent/src/event-loop.ts';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { open, pathOfFd, withFd } from '../../guest-agent/src/linux/file.ts';
import { startConnect } from '../../guest-agent/src/linux/socket.ts';
import { SocketStream } from '../../guest-agent/src/rpc/socket-stream.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { AGENT_RPC_PORT, agentService } from '../../src/protocol/agent-service.ts';
import { ByteBudget } from '../../src/protocol/byte-budget.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { StatusError } from '../../src/protocol/status.ts';
import type { GuestStats } from './metrics.ts';

/** Host side of the guest's vsock, in the state directory of each of its containers. */
const VSOCK_SOCKET = 'vsock.sock';
/** An agent that does not answer within this time is not going to. */
const TIMEOUT_MS = 10_000;
/** What an answer may take, bytes: many times what agents say. Read and written again it takes a hundred times as much. */
const ANSWER_MAX = 16 * 1024;

/** Asks the guest of a relay. One question at a time: so much at most is in memory of what a hostile guest answers. */
export class GuestQuestions {
  readonly #loop: EventLoop;
  #last: Promise<unknown> = Promise.resolve();

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /**
   * @param directory the container's state directory
   * @throws StatusError; UNAVAILABLE also when there is no VM
   */
  ask(directory: string, containerId: string): Promise<GuestStats> {
    let isLate = false;
    let stream: SocketStream | undefined;
    // Its turn is a part of the time: many who wait for a guest that says nothing wait no longer than one.
    const cancel = this.#loop.after(TIMEOUT_MS, () => {
      isLate = true;
      stream?.close();
    });
    const asked = this.#last
      .then(() => {
        if (isLate) throw noAnswer(directory, 'it has not answered others');
        stream = new SocketStream(this.#loop, connectTo(directory));
        return askThrough(this.#loop, stream, directory, containerId);
      })
      .finally(() => {
        cancel();
        stream?.close();
      });
    this.#last = asked.catch(() => {});
    return asked;
  }
}

async function askThrough(
  loop: EventLoop,
  stream: SocketStream,
  directory: string,
  containerId: string,
): Promise<GuestStats> {
  await greet(stream, directory);
  const client = new TtrpcClient(stream, loop, new ByteBudget(ANSWER_MAX));
  const container = await client.call(agentService, 'ContainerStats', { containerId });
  if (container.memory?.limitBytes !== undefined) return { container };
  const { memoryTotalBytes } = await client.call(agentService, 'GuestDetails', {});
  return { container, memoryTotalBytes };
}

/** The folder by its descriptor: its path may be too long for a socket's address. */
function connectTo(directory: string): number {
  try {
    return withFd(open(directory, abi.O_PATH | abi.O_DIRECTORY), (folder) =>
      startConnect({ family: 'unix', path: `${pathOfFd(folder)}/${VSOCK_SOCKET}` }),
    );
  } catch (error) {
    throw noAnswer(directory, messageOf(error));
  }
}

/** Says which port is wanted, and waits for `OK <host port>`: nothing else comes before we have asked for something. */
async function greet(stream: SocketStream, directory: string): Promise<void> {
  await stream.write(encodeUtf8(`CONNECT ${AGENT_RPC_PORT}\n`));
  let answer = '';
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    answer += decodeUtf8(bytes);
    if (/^OK \d+\n$/.test(answer)) return;
    if (answer.length > 'OK 4294967295\n'.length) break;
  }
  throw noAnswer(directory, 'its vsock does not lead to the agent');
}

function noAnswer(directory: string, reason: string): StatusError {
  return new StatusError('UNAVAILABLE', `the guest's agent does not answer through ${directory}: ${reason}`);
}
