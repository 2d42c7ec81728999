// What verbs ask the guest's agent itself, over the sandbox's vsock: what concerns the guest alone.
import { closeSync, openSync } from 'node:fs';
import { AgentClient } from '../agent-client/agent-client.ts';
import { connectToGuest } from '../agent-client/guest-socket.ts';
import { socketStream } from '../agent-client/socket-stream.ts';
import { messageOf } from '../lib/errors.ts';
import { AGENT_RPC_PORT } from '../protocol/agent-service.ts';
import { StatusError } from '../protocol/status.ts';
import { VSOCK_SOCKET } from './state-store.ts';

/**
 * Does something with a connection of its own to the agent.
 * @param directory the sandbox's
 * @throws StatusError; UNAVAILABLE also when there is no VM
 */
export async function callAgent<Result>(
  directory: string,
  action: (agent: AgentClient) => Promise<Result>,
): Promise<Result> {
  const agent = await connectAgent(directory);
  try {
    return await action(agent);
  } finally {
    agent.close();
  }
}

async function connectAgent(directory: string): Promise<AgentClient> {
  // The folder by its descriptor: its path may be too long for a socket's address.
  const folder = openSync(directory, 'r');
  try {
    return new AgentClient(
      socketStream(await connectToGuest(`/proc/self/fd/${folder}/${VSOCK_SOCKET}`, AGENT_RPC_PORT)),
    );
  } catch (cause) {
    const message = `the guest's agent does not answer through ${directory}/${VSOCK_SOCKET}: ${messageOf(cause)}`;
    throw new StatusError('UNAVAILABLE', message, { path: directory }, { cause });
  } finally {
    closeSync(folder);
  }
}
