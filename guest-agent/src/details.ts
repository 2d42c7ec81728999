// GuestDetails: what the kernel says of the machine and of the agent.
import type { GuestDetailsResponse } from '../../src/protocol/agent.gen.ts';
import type { StartTimes } from './agent.ts';
import { readText } from './linux/file.ts';
import { kernelRelease, processorCount } from './linux/machine.ts';

/** Value of a `Name:  123 kB` line, in bytes; 0 when it is missing. */
function kilobytesOf(text: string, name: string): bigint {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
  return BigInt(Number.parseInt(line?.slice(name.length + 1) ?? '0', 10)) * 1024n;
}

export function guestDetails(times: StartTimes): GuestDetailsResponse {
  const memory = readText('/proc/meminfo');
  return {
    kernelRelease: kernelRelease(),
    onlineCpus: processorCount(),
    memoryTotalBytes: kilobytesOf(memory, 'MemTotal'),
    memoryAvailableBytes: kilobytesOf(memory, 'MemAvailable'),
    agentResidentBytes: kilobytesOf(readText('/proc/self/status'), 'VmRSS'),
    agentEnteredNs: times.enteredNs,
    agentReadyNs: times.readyNs,
  };
}
