// What a container uses, asked of the agent of its guest.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import type { EventLoop } from '../../guest-agent/src/event-loop.ts';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { open, pathOfFd, withFd } from '../../guest-agent/src/linux/file.ts';
import { startConnect } from '../../guest-agent/src/linux/socket.ts';
import { SocketStream } from '../../guest-agent/src/rpc/socket-stream.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { AGENT_RPC_PORT, agentService } from '../../src/protocol/agent-service.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { StatusError } from '../../src/protocol/status.ts';
import type { GuestStats } from './metrics.ts';

/** Host side of the guest's vsock, in the state directory of each of its containers. */
const VSOCK_SOCKET = 'vsock.sock';
/** An agent that does not answer within this time is not going to. */
const TIMEOUT_MS = 10_000;

/**
 * @param directory the container's state directory
 * @throws StatusError; UNAVAILABLE also when there is no VM
 */
export async function askGuest(loop: EventLoop, directory: string, containerId: string): Promise<GuestStats> {
  const stream = new SocketStream(loop, connectTo(directory));
  const cancel = loop.after(TIMEOUT_MS, () => stream.close());
  const client = await greet(stream, directory).then(
    () => new TtrpcClient(stream, loop),
    (error) => {
      stream.close();
      cancel();
      throw error;
    },
  );
  try {
    const container = await client.call(agentService, 'ContainerStats', { containerId });
    if (container.memory?.limitBytes !== undefined) return { container };
    const { memoryTotalBytes } = await client.call(agentService, 'GuestDetails', {});
    return { container, memoryTotalBytes };
  } finally {
    cancel();
    client.close();
  }
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
