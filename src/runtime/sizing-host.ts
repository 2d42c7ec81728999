// How big this host is.
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { MIB } from '../lib/units.ts';
import type { HostSize } from './sizing.ts';
import { countCpus } from './sizing-limits.ts';

/** Processors that are online, whichever of them this process may use: a VM's threads go to the cgroup of its container. */
const ONLINE = '/sys/devices/system/cpu/online';

export function readHostSize(): HostSize {
  return { cpus: onlineCpus(), memoryMib: Math.floor(totalmem() / MIB) };
}

function onlineCpus(): number {
  try {
    return countCpus(readFileSync(ONLINE, 'latin1')) || availableParallelism();
  } catch {
    // No sysfs.
    return availableParallelism();
  }
}
