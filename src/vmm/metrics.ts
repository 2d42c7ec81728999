// What a VM has done and what it costs, in numbers: counts hold on any machine, times and memory on this one.
import { readFileSync } from 'node:fs';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { deviceType } from './summary.ts';

export interface DeviceMetrics {
  /** As in logs: "vsock", "block:root". */
  readonly name: string;
  /** "block", "net", "vsock", "fs", "console", "rng", "balloon". */
  readonly type: string;
  /** Since the device was made, by name in snake_case with the unit at its end: `read_bytes`, `read_requests`. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Memory of the VMM's process as the kernel counts it, bytes (proc_pid_status(5)). */
export interface MemoryMetrics {
  /** VmRSS: guest memory that was touched is part of it. */
  readonly residentBytes: number;
  /** VmHWM: the most that it was. */
  readonly peakResidentBytes: number;
  /** RssAnon: the heaps of the VMM. */
  readonly anonymousBytes: number;
  /** RssFile: programs and libraries. */
  readonly fileBytes: number;
  /** RssShmem: guest memory. */
  readonly sharedBytes: number;
}

export interface VmMetrics {
  /** Since the first instruction of the guest, milliseconds; a VM that was not started has 0. */
  readonly uptimeMs: number;
  /** Exits of the vCPUs to the VMM, by KVM_EXIT_* name. */
  readonly exits: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceMetrics[];
  readonly memory: MemoryMetrics;
}

export interface MetricsSource {
  readonly exitCounts: ReadonlyMap<string, number>;
  readonly devices: readonly VirtioDevice[];
  /** What the devices' transports counted. */
  readonly transports: TransportCounts;
  /** CLOCK_MONOTONIC, nanoseconds: when the guest's first instruction ran. */
  readonly startedNs: bigint | undefined;
}

/** Counts of each device's transport, of the same form as its own. */
export type TransportCounts = ReadonlyMap<VirtioDevice, Readonly<Record<string, number>>>;

/** The counts of all devices, those of their transports among them; one without counts has none. */
export function deviceMetrics(devices: readonly VirtioDevice[], transports: TransportCounts): DeviceMetrics[] {
  return devices.map((device) => ({
    name: device.name,
    type: deviceType(device.deviceId),
    counters: { ...transports.get(device), ...device.metrics?.() },
  }));
}

/** Reads the memory of a process from the text of its /proc/PID/status, where sizes are in kB; what is missing is 0. */
export function parseMemoryStatus(text: string): MemoryMetrics {
  const bytes = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return {
    residentBytes: bytes('VmRSS'),
    peakResidentBytes: bytes('VmHWM'),
    anonymousBytes: bytes('RssAnon'),
    fileBytes: bytes('RssFile'),
    sharedBytes: bytes('RssShmem'),
  };
}

export function collectMetrics({ exitCounts, devices, transports, startedNs }: MetricsSource): VmMetrics {
  return {
    uptimeMs: startedNs === undefined ? 0 : Number(process.hrtime.bigint() - startedNs) / 1e6,
    exits: Object.fromEntries(exitCounts),
    devices: deviceMetrics(devices, transports),
    memory: parseMemoryStatus(readFileSync('/proc/self/status', 'latin1')),
  };
}
