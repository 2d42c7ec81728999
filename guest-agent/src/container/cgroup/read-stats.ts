// ContainerStats: what the kernel has counted for a cgroup, and for the network that its container is in.
import type { ContainerStatsResponse } from '../../../../src/protocol/agent.gen.ts';
import * as abi from '../../linux/abi.gen.ts';
import { isErrno } from '../../linux/call.ts';
import { listDirectory, readText } from '../../linux/file.ts';
import { readControl } from './files.ts';
import {
  blockDeviceStats,
  cpuStats,
  hugePageSize,
  hugetlbStats,
  interfaceStats,
  memoryStats,
  pidsStats,
  pressureStats,
  type ReadControl,
} from './stats.ts';

/** @param path of the cgroup @param pid of a process in the container's network namespace; undefined for none */
export function containerStats(path: string, pid: number | undefined): ContainerStatsResponse {
  const read: ReadControl = (file) => readControl(path, file);
  return {
    cpu: cpuStats(read),
    memory: memoryStats(read),
    pids: pidsStats(read),
    blockDevices: blockDeviceStats(read('io.stat') ?? ''),
    hugetlb: hugePageSizes().flatMap((size) => hugetlbStats(read, size)),
    interfaces: pid === undefined ? [] : interfaceStats(networkDevices(pid)),
    ioPressure: pressureStats(read('io.pressure')),
  };
}

/** Sizes of huge pages as the names of control files have them. */
function hugePageSizes(): string[] {
  try {
    return listDirectory('/sys/kernel/mm/hugepages').flatMap(hugePageSize);
  } catch (error) {
    if (isErrno(error, abi.ENOENT)) return [];
    throw error;
  }
}

/** The text of /proc/PID/net/dev. @returns nothing for a process that has ended: it is in no network namespace any more */
function networkDevices(pid: number): string {
  try {
    return readText(`/proc/${pid}/net/dev`);
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ESRCH, abi.EINVAL)) return '';
    throw error;
  }
}
