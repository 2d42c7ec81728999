// What a VM is made of, as a program says it: checked before anything is opened.
import { type GrowthRegion, growthRegion, MEMORY_SIZE_MAX, MEMORY_SIZE_MIN } from '../arch/x86_64/layout.ts';
import { MIB } from '../lib/units.ts';
import { checkInteger, VmConfigError } from './config-error.ts';
import { type BalloonConfig, balloon } from './devices/balloon.ts';
import { type ConsoleConfig, virtioConsole } from './devices/console.ts';
import { type DiskConfig, disk } from './devices/disk.ts';
import type { DeviceKind } from './devices/kind.ts';
import { type NetConfig, net } from './devices/net.ts';
import { type ShareConfig, share } from './devices/share.ts';
import { type VsockConfig, vsock } from './devices/vsock.ts';
import { type HugePageSize, MAXIMUM_CPUS } from './limits.ts';

export interface VmConfig {
  /** ELF vmlinux or bzImage. */
  readonly kernelPath: string;
  readonly initrdPath?: string;
  /** The kernel's command line; the VMM adds the devices. @default '' */
  readonly commandLine?: string;
  /** What the guest starts with. */
  readonly memoryMib: number;
  /** Up to how much it can have while it runs (virtio-mem). @default memoryMib */
  readonly maxMemoryMib?: number;
  /**
   * Guest memory from the host's pool of huge pages of this size, or of huge pages where the kernel happens to have them
   * (transparent). @default ordinary pages
   */
  readonly hugePages?: HugePageSize;
  /** Takes all of guest memory before the guest starts. @default false */
  readonly prefault?: boolean;
  /** What the guest starts with. */
  readonly cpus: number;
  /** How many it can have while it runs: all are there from the start, and Linux is told to leave the others alone. @default cpus */
  readonly maxCpus?: number;
  /** A 16550A at COM1. Every byte on it costs exits, so a VM that does not need it has none. @default false */
  readonly serial?: boolean;
  readonly disks?: readonly DiskConfig[];
  /** In the order of the guest's eth0, eth1 ... */
  readonly nets?: readonly NetConfig[];
  readonly shares?: readonly ShareConfig[];
  readonly vsock?: VsockConfig;
  /** A virtio console, the guest's hvc0. */
  readonly console?: ConsoleConfig;
  readonly balloon?: BalloonConfig;
  /** A virtio entropy device, fed by the host's generator. @default true */
  readonly entropy?: boolean;
}

/** Calls a function with every device of a configuration and its kind, in the order in which the guest finds them. */
function visitDevices(config: VmConfig, visit: <Config>(kind: DeviceKind<Config>, device: Config) => void): void {
  for (const one of config.disks ?? []) visit(disk, one);
  for (const one of config.nets ?? []) visit(net, one);
  if (config.vsock !== undefined) visit(vsock, config.vsock);
  for (const one of config.shares ?? []) visit(share, one);
  if (config.console !== undefined) visit(virtioConsole, config.console);
  if (config.balloon !== undefined) visit(balloon, config.balloon);
}

/** Names, in a VmConfigError, that the VM cannot grow as it is asked to. */
export const MAX_MEMORY_KEY = 'memory max';

/** Checks what can be checked without opening anything. @throws VmConfigError naming key, value and what is allowed */
export function checkVmConfig(config: VmConfig): void {
  checkInteger('memory (MiB)', config.memoryMib, MEMORY_SIZE_MIN / MIB, MEMORY_SIZE_MAX / MIB);
  checkInteger('cpus', config.cpus, 1, MAXIMUM_CPUS);
  if (config.maxCpus !== undefined) checkInteger('cpus max', config.maxCpus, config.cpus, MAXIMUM_CPUS);
  if (config.maxMemoryMib !== undefined) checkGrowth(config, config.maxMemoryMib);
  visitDevices(config, (kind, device) => kind.check(device));
  checkDistinctTags(config.shares ?? []);
}

function checkGrowth({ memoryMib, hugePages }: VmConfig, maxMemoryMib: number): void {
  checkInteger('memory max (MiB)', maxMemoryMib, memoryMib, MEMORY_SIZE_MAX / MIB);
  if (maxMemoryMib === memoryMib || hugePages === undefined || hugePages === 'transparent') return;
  // Pages of the pool are reserved when they are mapped.
  const allowed = 'the same as memory with huge pages of the pool, all of which are taken at the start';
  throw new VmConfigError(MAX_MEMORY_KEY, `${maxMemoryMib} MiB`, allowed);
}

/** Where memory is that can be plugged; undefined when the VM cannot grow. */
export function growthOf({ memoryMib, maxMemoryMib = memoryMib }: VmConfig): GrowthRegion | undefined {
  return maxMemoryMib > memoryMib ? growthRegion(memoryMib * MIB, (maxMemoryMib - memoryMib) * MIB) : undefined;
}

function checkDistinctTags(shares: readonly ShareConfig[]): void {
  const tags = new Set<string>();
  for (const { tag } of shares) {
    if (tags.has(tag)) throw new VmConfigError('share tag', JSON.stringify(tag), 'a tag that no other share has');
    tags.add(tag);
  }
}

/** Whether a device has a back end in another process, which must be able to map guest memory. */
export function needsSharedMemory(config: VmConfig): boolean {
  let needed = false;
  visitDevices(config, (kind, device) => {
    needed ||= kind.needsSharedMemory?.(device) ?? false;
  });
  return needed;
}

/** The same with the paths of all that devices are made of from the root, so that it means the same in another folder. */
export function withAbsolutePaths(config: VmConfig): VmConfig {
  const absolute = <Config>(kind: DeviceKind<Config>, device: Config): Config =>
    kind.withAbsolutePaths?.(device) ?? device;
  const { disks, shares } = config;
  return {
    ...config,
    ...(disks === undefined ? {} : { disks: disks.map((one) => absolute(disk, one)) }),
    ...(shares === undefined ? {} : { shares: shares.map((one) => absolute(share, one)) }),
    ...(config.vsock === undefined ? {} : { vsock: absolute(vsock, config.vsock) }),
    ...(config.console === undefined ? {} : { console: absolute(virtioConsole, config.console) }),
  };
}
