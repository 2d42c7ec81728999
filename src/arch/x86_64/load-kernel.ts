// From a kernel file to a machine that is ready to enter it. First everything is parsed and planned, which needs no machine
// and is where bad images are refused; then it is written to guest memory.
import type { CpuidEntry } from '../../hypervisor/ports.ts';
import { type GuestAddress, guestAddress } from '../../lib/brand.ts';
import { alignUp, MIB, PAGE_SIZE } from '../../lib/units.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { encodeAcpiTables } from './acpi.ts';
import { encodeBootParameters } from './boot-params.ts';
import { encodeCommandLine } from './command-line.ts';
import { hasGigabytePages, processorSignature } from './cpuid.ts';
import { type EntryState, entryState } from './entry-state.ts';
import type { BootProtocol, KernelImage } from './kernel-image.ts';
import { hex, KernelImageError } from './kernel-image-error.ts';
import {
  ACPI_TABLES_ADDRESS,
  COMMAND_LINE_ADDRESS,
  COMMAND_LINE_AREA_SIZE,
  GDT_ADDRESS,
  HIGH_MEMORY_START,
  lowRamEnd,
  MP_TABLE_ADDRESS,
  memoryMap,
  PAGE_TABLES_ADDRESS,
  PVH_START_INFO_ADDRESS,
  type RamRegion,
  RESET_VECTOR_ADDRESS,
  ramRegions,
  type VirtioMmioSlot,
  ZERO_PAGE_ADDRESS,
} from './layout.ts';
import { encodeMpTable } from './mp-table.ts';
import { encodePageTables } from './page-tables.ts';
import { encodePvhStartInfo } from './pvh.ts';
import { RESET_VECTOR_CODE } from './reset-vector.ts';
import { CODE_32, CODE_64, encodeGdt } from './segments.ts';

export interface BootRequest {
  readonly image: KernelImage;
  /** Bytes of RAM. */
  readonly memorySize: number;
  readonly commandLine: string;
  /** The initial RAM disk, as the kernel is to find it. */
  readonly initrd?: Uint8Array;
  /** Default: linux64 if the image has an entry for it, else pvh. */
  readonly protocol?: BootProtocol;
}

/** Where everything of a boot will be: the request, checked against the machine. */
export interface BootPlan {
  readonly protocol: BootProtocol;
  readonly entry: number;
  readonly image: KernelImage;
  readonly memorySize: number;
  /** With its terminating zero. */
  readonly commandLine: Uint8Array;
  readonly initrd: { readonly address: number; readonly bytes: Uint8Array } | undefined;
}

/** What the tables tell the kernel of its machine. */
export interface MachineDescription {
  readonly vcpuCount: number;
  /** What the boot processor will have. */
  readonly cpuid: readonly CpuidEntry[];
  /** Where virtio devices are. */
  readonly virtioSlots: readonly VirtioMmioSlot[];
  /** Whether there is a serial port at COM1. */
  readonly hasSerialPort: boolean;
}

/**
 * Plans a boot. Nothing is allocated or written.
 * @throws KernelImageError, CommandLineError, RangeError (memory size)
 */
export function planBoot(request: BootRequest): BootPlan {
  const { image, memorySize } = request;
  ramRegions(memorySize);
  const ramEnd = lowRamEnd(memorySize);
  for (const segment of image.segments) {
    const end = segment.address + segment.memorySize;
    if (end > ramEnd) {
      throw new KernelImageError(
        'NO_ROOM',
        `it needs RAM up to ${hex(end)}, the machine's ${memorySize / MIB} MiB end at ${hex(ramEnd)}; give it at least ` +
          `${Math.ceil(end / MIB)} MiB`,
        { end, ramEnd },
      );
    }
  }
  const protocol = request.protocol ?? (image.entries.linux64 === undefined ? 'pvh' : 'linux64');
  const entry = image.entries[protocol];
  if (entry === undefined) {
    throw new KernelImageError(
      'NO_ENTRY',
      `no entry for the boot protocol ${protocol}; this ${image.format} has ${Object.keys(image.entries).join(', ')}`,
    );
  }
  const sizeMax = Math.min(image.commandLineSizeMax, COMMAND_LINE_AREA_SIZE - 1);
  return {
    protocol,
    entry,
    image,
    memorySize,
    commandLine: encodeCommandLine(request.commandLine, sizeMax),
    initrd: request.initrd && { address: placeInitrd(image, ramEnd, request.initrd.length), bytes: request.initrd },
  };
}

/** As high as the kernel and RAM allow, on a page of its own, above or between the parts of the kernel. */
function placeInitrd(image: KernelImage, ramEnd: number, size: number): number {
  let limit = Math.min(ramEnd, image.initrdAddressMax + 1);
  const fromTop = image.segments.toSorted((a, b) => b.address - a.address);
  for (;;) {
    const address = Math.floor((limit - size) / PAGE_SIZE) * PAGE_SIZE;
    const obstacle = fromTop.find(
      (segment) => segment.address < address + size && address < segment.address + segment.memorySize,
    );
    if (address < HIGH_MEMORY_START) {
      throw new KernelImageError(
        'NO_ROOM',
        `no room for an initial RAM disk of ${size} bytes beside the kernel in RAM below ` +
          `${hex(Math.min(ramEnd, image.initrdAddressMax + 1))}; give the machine more memory`,
        { size },
      );
    }
    if (obstacle === undefined) return address;
    limit = obstacle.address;
  }
}

/**
 * Writes a planned boot to guest memory: kernel, initial RAM disk, command line, and all tables.
 * @param memory the RAM of layout.ramRegions(plan.memorySize), all zero
 * @returns what to set on vCPU 0
 */
export function loadKernel(memory: GuestMemory, plan: BootPlan, machine: MachineDescription): EntryState {
  // RAM is fresh from the host, so what a segment has behind its bytes (.bss) is zero already and need not be touched.
  for (const { address, bytes } of plan.image.segments) memory.write(guestAddress(address), bytes);
  if (plan.initrd !== undefined) memory.write(guestAddress(plan.initrd.address), plan.initrd.bytes);
  memory.write(COMMAND_LINE_ADDRESS, plan.commandLine);
  writeMachineTables(memory, machine);
  writeHandOver(memory, plan, machine.cpuid);
  return entryState(plan.protocol, plan.entry);
}

/** Memory that Linux describes as one (arch/x86/include/asm/sparsemem.h, SECTION_SIZE_BITS), and what 64 bytes a page make of it. */
const SECTION_SIZE = 128 * MIB;
const SECTION_DESCRIPTION_SIZE = 2 * MIB;

/**
 * Where Linux will have its descriptions of pages (vmemmap), all of which it writes as it boots: it takes memory for them from
 * the top down, below the initial RAM disk.
 * @returns undefined where there is not a section, or not clearly room for them at the top
 */
export function pageDescriptions({ memorySize, initrd }: BootPlan): RamRegion | undefined {
  const size = Math.floor(memorySize / SECTION_SIZE) * SECTION_DESCRIPTION_SIZE;
  const region = ramRegions(memorySize).at(-1);
  if (size === 0 || region === undefined || region.size < 2 * size) return undefined;
  const end = region.address + region.size;
  const hasInitrdAtEnd = initrd !== undefined && initrd.address + alignUp(initrd.bytes.length, PAGE_SIZE) === end;
  // The first page tables come before them, and take a part of the first 2 MiB.
  const below = (hasInitrdAtEnd ? initrd.address : end) - 1;
  return { address: guestAddress(below - (below % SECTION_DESCRIPTION_SIZE) - size), size };
}

/**
 * What Linux uses first, besides what it is loaded to: measured with our kernel in machines of 128 MiB to 3 GiB, it gives out its
 * memory from 8 MiB upwards, and has used most of each 2 MiB of this when a container runs.
 */
const FIRST_USED = [
  { address: 0, size: 2 * MIB },
  { address: 8 * MIB, size: 28 * MIB },
];
/** Of a machine with less, that would be too large a part. */
const SMALL_MEMORY = 64 * MIB;

/** What a processor maps at once. */
const LARGE_PAGE_SIZE = 2 * MIB;

/**
 * Memory that will have been used, nearly all of it, when the guest's first program runs: by what is loaded, and by Linux.
 * @returns in order, in multiples of 2 MiB
 */
export function usedAtStart(plan: BootPlan): RamRegion[] {
  const { image, initrd, memorySize } = plan;
  const loaded = [...image.segments, ...(initrd === undefined ? [] : [initrd])];
  const descriptions = pageDescriptions(plan);
  const ranges = [
    ...loaded.map(({ address, bytes }) => ({ address, size: bytes.length })),
    // The first page tables are in the 2 MiB above.
    ...(descriptions === undefined ? [] : [{ ...descriptions, size: descriptions.size + LARGE_PAGE_SIZE }]),
    ...(memorySize < SMALL_MEMORY ? [] : FIRST_USED),
  ];
  const used = new Map<number, number>();
  for (const { address, size } of ranges) {
    const end = address + size;
    for (let page = address - (address % LARGE_PAGE_SIZE); page < end; page += LARGE_PAGE_SIZE)
      used.set(page, (used.get(page) ?? 0) + Math.min(end, page + LARGE_PAGE_SIZE) - Math.max(address, page));
  }
  const ram = ramRegions(memorySize);
  const regions: { address: GuestAddress; size: number }[] = [];
  for (const [page, bytes] of [...used].sort(([a], [b]) => a - b)) {
    const isRam = ram.some(({ address, size }) => page >= address && page + LARGE_PAGE_SIZE <= address + size);
    if (!isRam || bytes < LARGE_PAGE_SIZE / 2) continue;
    const last = regions.at(-1);
    if (last !== undefined && last.address + last.size === page) last.size += LARGE_PAGE_SIZE;
    else regions.push({ address: guestAddress(page), size: LARGE_PAGE_SIZE });
  }
  return regions;
}

/** Processors, interrupts and devices, for both kinds of kernels: those that read ACPI tables and those that do not. */
function writeMachineTables(memory: GuestMemory, machine: MachineDescription): void {
  const processorCount = machine.vcpuCount;
  const signature = processorSignature(machine.cpuid);
  memory.write(MP_TABLE_ADDRESS, encodeMpTable({ address: MP_TABLE_ADDRESS, processorCount, ...signature }));
  memory.write(ACPI_TABLES_ADDRESS, encodeAcpiTables({ address: ACPI_TABLES_ADDRESS, processorCount, ...machine }));
  memory.write(RESET_VECTOR_ADDRESS, RESET_VECTOR_CODE);
}

/** What the boot protocol wants in memory. */
function writeHandOver(memory: GuestMemory, plan: BootPlan, cpuid: readonly CpuidEntry[]): void {
  const common = {
    commandLineAddress: COMMAND_LINE_ADDRESS,
    acpiAddress: ACPI_TABLES_ADDRESS,
    initrd: plan.initrd && { address: plan.initrd.address, size: plan.initrd.bytes.length },
    memoryMap: memoryMap(plan.memorySize),
  };
  switch (plan.protocol) {
    case 'linux64': {
      const { setupHeader, segments } = plan.image;
      const kernelAddress = segments[0]?.address ?? 0;
      memory.write(ZERO_PAGE_ADDRESS, encodeBootParameters({ ...common, setupHeader, kernelAddress }));
      memory.write(PAGE_TABLES_ADDRESS, encodePageTables(PAGE_TABLES_ADDRESS, hasGigabytePages(cpuid)));
      memory.write(GDT_ADDRESS, encodeGdt(CODE_64));
      break;
    }
    case 'pvh':
      memory.write(PVH_START_INFO_ADDRESS, encodePvhStartInfo({ ...common, address: PVH_START_INFO_ADDRESS }));
      memory.write(GDT_ADDRESS, encodeGdt(CODE_32));
      break;
  }
}
