// Processors and memory that come and go after the guest started.
// Source: Documentation/ABI/testing/sysfs-devices-system-cpu, Documentation/admin-guide/mm/memory-hotplug.rst
import type { OnlineResourcesRequest, OnlineResourcesResponse } from '../../src/protocol/agent.gen.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { memoryTotalBytes } from './details.ts';
import * as abi from './linux/abi.gen.ts';
import { isErrno, SystemError } from './linux/call.ts';
import { listDirectory, readText, writeText } from './linux/file.ts';

const PROCESSORS = '/sys/devices/system/cpu';
const MEMORY = '/sys/devices/system/memory';

/** @throws StatusError; what was changed before stays so */
export function onlineResources(request: OnlineResourcesRequest): OnlineResourcesResponse {
  const cpusOnline = setProcessors(request.cpus);
  if (request.memory) onlineMemory();
  return { cpusOnline, memoryBytes: memoryTotalBytes() };
}

/** Entries `kind` and a number of a directory in the order of the numbers; none when the kernel has no such directory. */
function numbered(directory: string, kind: string): string[] {
  try {
    const pattern = new RegExp(`^${kind}\\d+$`);
    const names = listDirectory(directory).filter((name) => pattern.test(name));
    return names.sort((a, b) => Number(a.slice(kind.length)) - Number(b.slice(kind.length)));
  } catch (error) {
    if (isErrno(error, abi.ENOENT)) return [];
    throw error;
  }
}

/** The contents of a file; nothing when it is missing. */
function readIfThere(path: string): string | undefined {
  try {
    return readText(path).trim();
  } catch (error) {
    if (isErrno(error, abi.ENOENT)) return undefined;
    throw error;
  }
}

function set(path: string, value: string): void {
  try {
    writeText(path, value);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StatusError(
      'FAILED_PRECONDITION',
      `${path} cannot be made ${value}: ${error.reason}`,
      {},
      { cause: error },
    );
  }
}

/** @returns how many are online then. @param wanted 0 for all */
function setProcessors(wanted: number): number {
  const present = numbered(PROCESSORS, 'cpu').map((name) => {
    const path = `${PROCESSORS}/${name}/online`;
    // Without the file, a processor cannot be taken out of use: the first one, or any where the kernel has no hot-plug.
    return { path, state: readIfThere(path) ?? 'fixed' };
  });
  if (wanted > present.length) {
    throw new StatusError('FAILED_PRECONDITION', `${wanted} processors are asked for: the VM has ${present.length}`);
  }
  const offline = present.filter(({ state }) => state === '0');
  const online = present.length - offline.length;
  const change = (wanted || present.length) - online;
  for (const { path } of offline.slice(0, Math.max(0, change))) set(path, '1');
  const spare = present.filter(({ state }) => state === '1').reverse();
  const excess = spare.slice(0, Math.max(0, -change));
  for (const { path } of excess) set(path, '0');
  return online + (change < 0 ? -excess.length : change);
}

function onlineMemory(): void {
  for (const name of numbered(MEMORY, 'memory')) {
    const state = `${MEMORY}/${name}/state`;
    if (readIfThere(state) === 'offline') set(state, 'online');
  }
}
