// linux.resources as the host reads it, and what of it is the guest's (OCI runtime-spec 1.2, config-linux.md, "Control groups").
// Some callers write null for what is not there.

type Optional<T> = T | null;
/** With fields that are not named here. */
type Open<T> = T & Readonly<Record<string, unknown>>;

/** A number for one block device of the host. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** The parts that have a meaning on the host. Types are as validate-resources.ts has checked them. */
export interface HostResources {
  readonly memory?: Optional<
    Open<{
      /** Bytes; negative: no limit. So are the others. */
      readonly limit?: Optional<number>;
      readonly reservation?: Optional<number>;
      /** Memory and swap together. */
      readonly swap?: Optional<number>;
      readonly swappiness?: Optional<number>;
    }>
  >;
  readonly cpu?: Optional<
    Open<{
      readonly shares?: Optional<number>;
      /** Microseconds per period; negative: no limit. */
      readonly quota?: Optional<number>;
      /** Microseconds. */
      readonly period?: Optional<number>;
      readonly burst?: Optional<number>;
      readonly idle?: Optional<number>;
      /** Processors and memory nodes of the host: "0-3,8". */
      readonly cpus?: Optional<string>;
      readonly mems?: Optional<string>;
    }>
  >;
  readonly blockIO?: Optional<
    Open<{
      readonly weight?: Optional<number>;
      readonly weightDevice?: Optional<readonly (DeviceNumber & { readonly weight?: Optional<number> })[]>;
      readonly throttleReadBpsDevice?: Optional<readonly Throttle[]>;
      readonly throttleWriteBpsDevice?: Optional<readonly Throttle[]>;
      readonly throttleReadIOPSDevice?: Optional<readonly Throttle[]>;
      readonly throttleWriteIOPSDevice?: Optional<readonly Throttle[]>;
    }>
  >;
  readonly network?: Optional<{
    readonly classID?: Optional<number>;
    readonly priorities?: Optional<readonly { readonly name: string; readonly priority: number }[]>;
  }>;
  readonly rdma?: Optional<Readonly<Record<string, { hcaHandles?: Optional<number>; hcaObjects?: Optional<number> }>>>;
  readonly unified?: Optional<Readonly<Record<string, string>>>;
}

/** Transfers per second; 0: no limit. */
export interface Throttle extends DeviceNumber {
  readonly rate: number;
}

/** Controllers whose files name things of the host: processors, memory nodes, devices. */
const HOST_ONLY = ['cpuset', 'io', 'rdma', 'misc', 'dmem'];
/**
 * What the host enforces besides, as the guest's kernel cannot: the processor time of the whole VM, and the swap that its memory
 * may take. (Its memory is bounded by its size; memory.high would stall the VMM together with the guest.)
 */
const HOST_TOO = ['cpu'];
const HOST_TOO_FILES = ['memory.swap.max', 'memory.swap.high', 'memory.zswap.max', 'memory.zswap.writeback'];

function controllerOf(file: string): string {
  return file.split('.', 1)[0] ?? '';
}

/** linux.resources.unified: the files that are set in the sandbox's control group on the host. */
export function unifiedForHost(unified: Readonly<Record<string, string>>): Record<string, string> {
  const isHosts = (file: string): boolean =>
    [...HOST_ONLY, ...HOST_TOO].includes(controllerOf(file)) || HOST_TOO_FILES.includes(file);
  return Object.fromEntries(Object.entries(unified).filter(([file]) => isHosts(file)));
}

/**
 * linux.resources without what only the host can do. The guest has processors, memory nodes and block devices of its own, under
 * numbers of its own, and neither the host's network classes nor its RDMA devices.
 */
export function resourcesForGuest<T extends HostResources & Readonly<Record<string, unknown>>>(resources: T): T {
  const { blockIO: _blockIO, network: _network, rdma: _rdma, ...rest } = resources;
  const guests: Record<string, unknown> = rest;
  const { cpu, unified } = resources;
  if (cpu) {
    const { cpus: _cpus, mems: _mems, ...time } = cpu;
    guests['cpu'] = time;
  }
  if (unified) {
    const isGuests = ([file]: [string, string]): boolean => !HOST_ONLY.includes(controllerOf(file));
    guests['unified'] = Object.fromEntries(Object.entries(unified).filter(isGuests));
  }
  // Without some of what may be left out anyway.
  return guests as T;
}
