// GuestDetails: what the kernel says of the machine and of the agent.
import type { GuestDetailsResponse } from '../../src/protocol/agent.gen.ts';
import { GUEST_DIRECTORY } from '../../src/protocol/agent-service.ts';
import type { StartTimes } from './agent.ts';
import * as abi from './linux/abi.gen.ts';
import { listDirectory, readText } from './linux/file.ts';
import { kernelRelease, processorCount, readClock } from './linux/machine.ts';
import { mountsBelow } from './storage/mount-table.ts';

/** Value of a `Name:  123 kB` line, in bytes; 0 when it is missing. */
function kilobytesOf(text: string, name: string): bigint {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
  return BigInt(Number.parseInt(line?.slice(name.length + 1) ?? '0', 10)) * 1024n;
}

/** All memory that is in use or could be, bytes. */
export function memoryTotalBytes(): bigint {
  return kilobytesOf(readText('/proc/meminfo'), 'MemTotal');
}

export function guestDetails(times: StartTimes): GuestDetailsResponse {
  const memory = readText('/proc/meminfo');
  return {
    kernelRelease: kernelRelease(),
    onlineCpus: processorCount(),
    memoryTotalBytes: kilobytesOf(memory, 'MemTotal'),
    memoryAvailableBytes: kilobytesOf(memory, 'MemAvailable'),
    memoryFreeBytes: kilobytesOf(memory, 'MemFree'),
    agentResidentBytes: kilobytesOf(readText('/proc/self/status'), 'VmRSS'),
    agentEnteredNs: times.enteredNs,
    agentReadyNs: times.readyNs,
    uptimeNs: readClock(abi.CLOCK_BOOTTIME),
    // proc_loadavg(5): the first three fields.
    loadAverages: readText('/proc/loadavg').split(' ').slice(0, 3).map(Number),
    mounts: mountsBelow(GUEST_DIRECTORY),
    disks: disks(),
  };
}

const BLOCK_DEVICES = '/sys/block';
/** virtio-blk names its disks by letters, counted as in vda ... vdz, vdaa ...: the shorter come first. */
const DISK = /^vd[a-z]+$/;

function disks(): GuestDetailsResponse['disks'] {
  return listDirectory(BLOCK_DEVICES)
    .filter((name) => DISK.test(name))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    .map((name) => {
      const [major = 0, minor = 0] = readText(`${BLOCK_DEVICES}/${name}/dev`).split(':').map(Number);
      return { name, major, minor };
    });
}
