// The first words with a guest's agent: it calls the host as soon as it can answer.
import { on } from 'node:events';
import type { Server, Socket } from 'node:net';
import { StatusError } from '../protocol/status.ts';
import { AgentClient, type AgentDetails, type HandshakeOptions } from './agent-client.ts';
import { socketStream } from './socket-stream.ts';

export interface GreetedAgent {
  readonly agent: AgentClient;
  readonly details: AgentDetails;
}

/**
 * Waits for the agent's call, and greets it. A guest gives up a connection that a busy host does not answer soon, and its agent calls
 * again: then the later call is the one that counts. After it nobody is let in: a container may connect to any port of the host.
 * @param server listens for the agent since before the guest was started; closed at the end
 * @param options asked for at each call, as they tell the time
 * @throws AbortError by `signal`; what the handshake throws (rejects)
 */
export async function awaitAgent(
  server: Server,
  options: () => HandshakeOptions,
  signal?: AbortSignal,
): Promise<GreetedAgent> {
  try {
    for await (const [socket] of on(server, 'connection', signal === undefined ? {} : { signal })) {
      const agent = new AgentClient(socketStream(socket as Socket));
      try {
        return { agent, details: await agent.handshake(options()) };
      } catch (error) {
        agent.close();
        if (!(error instanceof StatusError && error.code === 'UNAVAILABLE')) throw error;
      }
    }
    throw new Error('nobody listens for the agent any more');
  } finally {
    server.close();
  }
}
