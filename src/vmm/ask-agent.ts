// What a VM asks of the agent in its guest, over the Unix socket of its vsock.
import { AgentClient } from '../agent-client/agent-client.ts';
import { connectToGuest } from '../agent-client/guest-socket.ts';
import { socketStream } from '../agent-client/socket-stream.ts';
import { messageOf } from '../lib/errors.ts';
import { AGENT_RPC_PORT } from '../protocol/agent-service.ts';
import { VmOperationError } from './operations.ts';

/**
 * Calls the agent on a connection of its own.
 * @param path of the vsock's socket; undefined when the VM has none
 * @throws VmOperationError NO_SUCH_PART without a socket, GUEST_NOT_READY when the agent does not answer or refuses (rejects)
 */
export async function askAgent<Answer>(
  path: string | undefined,
  call: (agent: AgentClient) => Promise<Answer>,
): Promise<Answer> {
  if (path === undefined) {
    const message = "the VM has no vsock with a Unix socket, by which the guest's agent could be asked";
    throw new VmOperationError('NO_SUCH_PART', message);
  }
  try {
    const agent = new AgentClient(socketStream(await connectToGuest(path, AGENT_RPC_PORT)));
    try {
      return await call(agent);
    } finally {
      agent.close();
    }
  } catch (cause) {
    throw new VmOperationError(
      'GUEST_NOT_READY',
      `the guest's agent does not answer: ${messageOf(cause)}`,
      { path },
      { cause },
    );
  }
}
