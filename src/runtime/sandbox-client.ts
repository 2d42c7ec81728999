// A verb's calls to the sandbox process.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectUnix, nodeTimers, socketStream } from '../agent-client/socket-stream.ts';
import { TtrpcClient } from '../protocol/client.ts';
import { type SandboxMethods, sandboxService } from '../protocol/sandbox-service.ts';
import type { RequestOf, ResponseOf, UnaryName } from '../protocol/service.ts';
import { StatusError } from '../protocol/status.ts';
import type { StartReport } from '../vmm/timeline.ts';
import { CONTROL_SOCKET, REPORT_FILE } from './state-store.ts';

/**
 * Makes one call on a connection of its own.
 * @throws StatusError; UNAVAILABLE also when nobody serves the socket, with what the sandbox ended for where it told
 */
export async function callSandbox<Name extends UnaryName<SandboxMethods>>(
  directory: string,
  name: Name,
  request: RequestOf<SandboxMethods[Name]>,
  timeoutMs: number,
): Promise<ResponseOf<SandboxMethods[Name]>> {
  const path = join(directory, CONTROL_SOCKET);
  const socket = await connectUnix(path).catch((cause: Error) => {
    throw lost(directory, `the sandbox process does not answer on ${path}: ${cause.message}`, cause);
  });
  const client = new TtrpcClient(socketStream(socket), nodeTimers);
  try {
    return await client.call(sandboxService, name, request, { timeoutMs });
  } catch (error) {
    if (error instanceof StatusError && error.code === 'UNAVAILABLE') throw lost(directory, error.message, error);
    throw error;
  } finally {
    client.close();
  }
}

/** The error of a sandbox that is lost. Before its connections end, it writes down why it does. */
function lost(directory: string, message: string, cause: Error): StatusError {
  const path = join(directory, REPORT_FILE);
  const reason = endReason(path);
  const text = reason === undefined ? message : `the sandbox ended: ${reason}`;
  return new StatusError('UNAVAILABLE', text, { path }, { cause });
}

function endReason(path: string): string | undefined {
  try {
    const report: StartReport = JSON.parse(readFileSync(path, 'utf8'));
    return report.endReason;
  } catch {
    return undefined; // It was killed, or still runs.
  }
}

/** For calls that end something: a sandbox that does not answer may be ending already. @throws what is not a StatusError */
export function ignoreLostSandbox(error: unknown): void {
  if (!(error instanceof StatusError)) throw error;
}
