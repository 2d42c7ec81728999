// How big a sandbox's VM is: what its container may use, and what guest kernel and agent take besides, so that `nproc` and `free`
// show inside what was asked for outside, and the container's own limit is met before the guest's memory is at its end.

import { MEMORY_SIZE_MAX, MMIO_HOLE_START } from '../arch/x86_64/layout.ts';
import { alignUp, GIB, MIB } from '../lib/units.ts';
import type { Config } from '../oci/config.ts';
import { MAXIMUM_CPUS } from '../vmm/limits.ts';
import { type Configuration, MINIMUM_MEMORY_MIB } from './configuration.ts';
import { type ResourceLimits, sandboxLimits } from './sizing-limits.ts';

/** What the host has. */
export interface HostSize {
  readonly cpus: number;
  readonly memoryMib: number;
}

/**
 * How many processors a VM may come to have while it runs, where the configuration does not say: each that may come costs every
 * VM a thread and a part of its start (ADR 11 has the figures).
 */
const DEFAULT_GROWTH_CPUS = 4;

export interface VmSize {
  readonly cpus: number;
  readonly memoryMib: number;
  /** How far it may grow while it runs; never less than what it starts with. */
  readonly maxCpus: number;
  readonly maxMemoryMib: number;
}

/** What decides about the size besides the container's limits. */
export type SizingKeys = Pick<
  Configuration,
  | 'default_vcpus'
  | 'default_maxvcpus'
  | 'default_memory'
  | 'default_maxmemory'
  | 'guest_memory_overhead'
  | 'enable_hugepages'
  | 'hugepage_size'
>;

/** Size of the VM for a container, or for the pod whose limits its annotations tell. */
export function sizeVm(config: Pick<Config, 'annotations' | 'linux'>, keys: SizingKeys, host: HostSize): VmSize {
  return sizeFor(sandboxLimits(config.annotations ?? {}, config.linux?.resources ?? {}), keys, host);
}

export function sizeFor(limits: ResourceLimits, keys: SizingKeys, host: HostSize): VmSize {
  const stepMib = memoryStepMib(keys);
  const leastMib = alignUp(MINIMUM_MEMORY_MIB, stepMib);
  const mostCpus = between(1, keys.default_maxvcpus || host.cpus, Math.min(host.cpus, MAXIMUM_CPUS));
  const allowedMib = Math.min(keys.default_maxmemory || host.memoryMib, host.memoryMib, MEMORY_SIZE_MAX / MIB);
  const mostMib = Math.max(roundDown(allowedMib, stepMib), leastMib);
  const wantedMib =
    limits.memoryMib === undefined
      ? keys.default_memory
      : vmMemoryMib(limits.memoryMib, limits.cpus ?? 1) + keys.guest_memory_overhead;
  const cpus = between(1, limits.cpus ?? keys.default_vcpus, mostCpus);
  const memoryMib = between(leastMib, alignUp(wantedMib, stepMib), mostMib);
  return {
    cpus,
    memoryMib,
    maxCpus: between(cpus, keys.default_maxvcpus || DEFAULT_GROWTH_CPUS, mostCpus),
    // Huge pages of the pool are taken at the start, all of them.
    maxMemoryMib: usesPool(keys) ? memoryMib : mostMib,
  };
}

/** Kernel, initramfs, agent and what they allocate at start. */
const FIXED_MIB = 31;
/** A `struct page` of 64 bytes per page of 4096, and hash tables whose size goes with memory. */
const SHARE = 1 / 54;
const PER_FURTHER_CPU_MIB = 3;
/** A kernel with this much uses transparent huge pages, and keeps blocks of them free in each zone so that they can be had. */
const HUGE_PAGES_FROM_MIB = 512;
const FREE_PER_ZONE_MIB = 32;
/** Where RAM goes on above 4 GiB, in another zone; the lower one is then kept from programs in part (lowmem_reserve_ratio). */
const UPPER_ZONE_FROM_MIB = MMIO_HOLE_START / MIB;
const LOWER_ZONE_SHARE = 1 / 256;

/**
 * What the guest's kernel and agent take of a VM's memory: the difference of its size to MemAvailable of /proc/meminfo. Fitted to
 * what guests of 40 MiB to 8 GiB showed (the table in sizing.test.ts), not below any of them and at most 7 MiB above.
 */
export function guestOverheadMib(vmMib: number, cpus: number): number {
  const upperZoneMib = Math.max(vmMib - UPPER_ZONE_FROM_MIB, 0);
  const zones = (vmMib > HUGE_PAGES_FROM_MIB ? 1 : 0) + (upperZoneMib > 0 ? 1 : 0);
  return (
    FIXED_MIB +
    SHARE * vmMib +
    PER_FURTHER_CPU_MIB * (cpus - 1) +
    FREE_PER_ZONE_MIB * zones +
    LOWER_ZONE_SHARE * upperZoneMib
  );
}

/** Memory of the smallest VM in which a container can use this much. */
function vmMemoryMib(usableMib: number, cpus: number): number {
  let vmMib = usableMib;
  for (;;) {
    // The overhead grows with the VM, by far less than the VM does: this comes to an end.
    const needed = Math.ceil(usableMib + guestOverheadMib(vmMib, cpus));
    if (needed <= vmMib) return vmMib;
    vmMib = needed;
  }
}

/** Whether the memory comes from the host's pool of huge pages. */
function usesPool({ enable_hugepages, hugepage_size }: SizingKeys): boolean {
  return enable_hugepages && hugepage_size !== 'transparent';
}

/** Memory that comes from a pool of huge pages is a whole number of them. */
function memoryStepMib(keys: SizingKeys): number {
  if (!usesPool(keys)) return 1;
  return keys.hugepage_size === '1G' ? GIB / MIB : 2;
}

/** The lower bound counts where the two contradict. */
function between(minimum: number, value: number, maximum: number): number {
  return Math.max(minimum, Math.min(value, maximum));
}

function roundDown(value: number, step: number): number {
  return value - (value % step);
}
