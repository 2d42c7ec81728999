// A verb's calls to the sandbox process.
import { join } from 'node:path';
import { connectUnix, nodeTimers, socketStream } from '../agent-client/socket-stream.ts';
import { TtrpcClient } from '../protocol/client.ts';
import { type SandboxMethods, sandboxService } from '../protocol/sandbox-service.ts';
import type { RequestOf, ResponseOf, UnaryName } from '../protocol/service.ts';
import { StatusError } from '../protocol/status.ts';
import { CONTROL_SOCKET } from './state-store.ts';

/**
 * Makes one call on a connection of its own.
 * @throws StatusError; UNAVAILABLE also when nobody serves the socket
 */
export async function callSandbox<Name extends UnaryName<SandboxMethods>>(
  directory: string,
  name: Name,
  request: RequestOf<SandboxMethods[Name]>,
  timeoutMs: number,
): Promise<ResponseOf<SandboxMethods[Name]>> {
  const path = join(directory, CONTROL_SOCKET);
  const socket = await connectUnix(path).catch((cause: Error) => {
    throw new StatusError(
      'UNAVAILABLE',
      `the sandbox process does not answer on ${path}: ${cause.message}`,
      { path },
      { cause },
    );
  });
  const client = new TtrpcClient(socketStream(socket), nodeTimers);
  try {
    return await client.call(sandboxService, name, request, { timeoutMs });
  } finally {
    client.close();
  }
}

/** For calls that end something: a sandbox that does not answer may be ending already. @throws what is not a StatusError */
export function ignoreLostSandbox(error: unknown): void {
  if (!(error instanceof StatusError)) throw error;
}
