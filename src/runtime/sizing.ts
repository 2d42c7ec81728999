// How big a sandbox's VM is: what its container may use, and what guest kernel and agent take besides, so that `nproc` and `free`
// show inside what was asked for outside, and the container's own limit is met before the guest's memory is at its end.

import { MMIO_HOLE_START } from '../arch/x86_64/layout.ts';
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
  const maxCpus = between(1, keys.default_maxvcpus || host.cpus, Math.min(host.cpus, MAXIMUM_CPUS));
  const maxMemoryMib = roundDown(Math.min(keys.default_maxmemory || host.memoryMib, host.memoryMib), stepMib);
  const memoryMib =
    limits.memoryMib === undefined
      ? keys.default_memory
      : vmMemoryMib(limits.memoryMib, limits.cpus ?? 1) + keys.guest_memory_overhead;
  return {
    cpus: between(1, limits.cpus ?? keys.default_vcpus, maxCpus),
    memoryMib: between(leastMib, alignUp(memoryMib, stepMib), maxMemoryMib),
    maxCpus,
    maxMemoryMib: Math.max(maxMemoryMib, leastMib),
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

/** Memory that comes from a pool of huge pages is a whole number of them. */
function memoryStepMib({ enable_hugepages, hugepage_size }: SizingKeys): number {
  if (!enable_hugepages || hugepage_size === 'transparent') return 1;
  return hugepage_size === '1G' ? GIB / MIB : 2;
}

/** The lower bound counts where the two contradict. */
function between(minimum: number, value: number, maximum: number): number {
  return Math.max(minimum, Math.min(value, maximum));
}

function roundDown(value: number, step: number): number {
  return value - (value % step);
}
