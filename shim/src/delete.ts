// `delete`: what containerd calls when a shim has died, to be rid of what it had.
import type { EventLoop } from '../../guest-agent/src/event-loop.ts';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { isErrno } from '../../guest-agent/src/linux/call.ts';
import { readText, tryRemoveFile, writeAll } from '../../guest-agent/src/linux/file.ts';
import { blockOneSignal } from '../../guest-agent/src/linux/process.ts';
import { startConnect } from '../../guest-agent/src/linux/socket.ts';
import { log } from '../../guest-agent/src/log.ts';
import { SocketStream } from '../../guest-agent/src/rpc/socket-stream.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { DeleteRequest, Empty, TaskRequest } from '../../src/protocol/containerd.gen.ts';
import { method, type Service } from '../../src/protocol/service.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { shimSocket, toSocket } from './addresses.ts';
import { runRuncShim, STDOUT, statusOfEnding } from './runc-shim.ts';
import { isServed } from './sockets.ts';
import { ADDRESS_FILE } from './start.ts';

const methods = { Delete: method(DeleteRequest, Empty), Shutdown: method(TaskRequest, Empty) } as const;
const taskService: Service<typeof methods> = { name: 'containerd.task.v2.Task', methods };

/** It learns of the end of its container a moment after that. */
const ATTEMPTS = 10;
const PAUSE_MS = 100;
/** containerd gives all of `delete` five seconds. */
const CALL_TIMEOUT_MS = 1000;
const END_MS = 500;

/**
 * Lets containerd-shim-runc-v2 delete the container, and ends the one that a relay has left behind that was killed.
 * @param words of the command line behind the program's name
 * @param bundle absent: the working directory
 * @returns the exit status
 */
export async function remove(loop: EventLoop, words: readonly string[], id: string, bundle = '.'): Promise<number> {
  const relay = readRelay(bundle);
  const { ending, output } = runRuncShim(words);
  writeAll(STDOUT, output, 'standard output');
  if (relay !== undefined && !isServed(relay.own)) await endLeft(loop, relay, id);
  return statusOfEnding(ending);
}

/** Where a relay and the shim behind it listen, or have listened. */
interface Sockets {
  readonly own: string;
  readonly shim: string;
}

/** Ends the containerd-shim-runc-v2 that no relay stands in front of, unless it has other containers than this one. */
export async function endLeft(loop: EventLoop, { own, shim }: Sockets, id: string): Promise<void> {
  // It may end while we talk to it.
  blockOneSignal(abi.SIGPIPE);
  if (isServed(shim)) await endShim(loop, shim, id);
  for (const path of [own, shim]) if (!isServed(path)) tryRemoveFile(path, abi.AT_FDCWD);
}

function readRelay(bundle: string): Sockets | undefined {
  try {
    const own = toSocket(readText(`${bundle}/${ADDRESS_FILE}`));
    const shim = own === undefined ? undefined : shimSocket(own);
    return own === undefined || shim === undefined ? undefined : { own, shim };
  } catch (error) {
    if (isErrno(error, abi.ENOENT)) return undefined;
    throw error;
  }
}

/** It ends unless it has other containers. */
async function endShim(loop: EventLoop, path: string, id: string): Promise<void> {
  const client = new TtrpcClient(new SocketStream(loop, startConnect({ family: 'unix', path })), loop);
  const options = { timeoutMs: CALL_TIMEOUT_MS };
  try {
    for (let left = ATTEMPTS; left > 0 && !(await isForgotten(client, id)); left -= 1) await loop.delay(PAUSE_MS);
    await client.call(taskService, 'Shutdown', { id }, options);
    await loop.settles(client.closed, END_MS);
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 'UNAVAILABLE') log(messageOf(error));
  } finally {
    client.close();
  }
}

async function isForgotten(client: TtrpcClient, id: string): Promise<boolean> {
  try {
    await client.call(taskService, 'Delete', { id, execId: '' }, { timeoutMs: CALL_TIMEOUT_MS });
    return true;
  } catch (error) {
    if (!(error instanceof StatusError) || error.code === 'DEADLINE_EXCEEDED') throw error;
    return error.code === 'NOT_FOUND' || error.code === 'UNAVAILABLE';
  }
}
