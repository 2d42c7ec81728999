// Every guest physical address of the machine, in one place.
//
//   0x0000_0500  GDT                              (low memory: read by the kernel before it has its own)
//   0x0000_6000  hvm_start_info (PVH)
//   0x0000_7000  zero page (Linux boot protocol)
//   0x0000_9000  page tables
//   0x0002_0000  command line
//   0x000a_0000  end of base memory
//   0x000e_0000  ACPI tables, where a PC has its BIOS
//   0x000e_f000  VM generation identifier
//   0x000f_0000  MP table, also there; and the reset vector at its end
//   0x0010_0000  RAM: kernel, and as high as it may be, the initial RAM disk
//   0xc000_0000  end of RAM at the latest: the MMIO hole, virtio-mmio pages first
//   0xfec0_0000  I/O APIC
//   0xfee0_0000  local APICs
//   0xfeff_c000  four pages that the KVM layer keeps for itself (KVM_PRIVATE_PAGES)
// 0x1_0000_0000  the rest of RAM
//                behind it, from a multiple of 2 GiB on: RAM that is plugged while the guest runs
import { type GuestAddress, guestAddress } from '../../lib/brand.ts';
import { alignUp, GIB, KIB, MIB, PAGE_SIZE } from '../../lib/units.ts';

/** Global descriptor table of the boot processor. Below it are the interrupt vectors and the BIOS data area of a PC. */
export const GDT_ADDRESS = guestAddress(0x500);
/** struct hvm_start_info, its module list and its memory map (PVH). */
export const PVH_START_INFO_ADDRESS = guestAddress(0x6000);
/** struct boot_params, the "zero page" of the Linux/x86 boot protocol. */
export const ZERO_PAGE_ADDRESS = guestAddress(0x7000);
/** PML4; the tables below it follow. */
export const PAGE_TABLES_ADDRESS = guestAddress(0x9000);
export const COMMAND_LINE_ADDRESS = guestAddress(0x2_0000);
/** Room for the command line, its terminating zero included. */
export const COMMAND_LINE_AREA_SIZE = 64 * KIB;
/** Where the base memory of a PC ends (640 KiB). */
export const BASE_MEMORY_END = guestAddress(0xa_0000);
/**
 * RSDP and the tables behind it. ACPI specification 6.5, 5.2.5.1 "Finding the RSDP on IA-PC Systems": "the BIOS read-only
 * memory space between 0E0000h and 0FFFFFh".
 */
export const ACPI_TABLES_ADDRESS = guestAddress(0xe_0000);
/**
 * The VM generation identifier, 16 bytes. Microsoft, "Virtual Machine Generation ID": in guest RAM, 8-byte aligned, apart from
 * what the guest uses, in no range of the memory map that is memory or ACPI data, and cacheable.
 */
export const GENERATION_ID_ADDRESS = guestAddress(0xe_f000);
/** MP floating pointer and table. MP specification 1.4, 4: the search ends in "the BIOS ROM address space". */
export const MP_TABLE_ADDRESS = guestAddress(0xf_0000);
/** F000:FFF0, where a processor's first instruction is, and where kernels jump to reset a PC. */
export const RESET_VECTOR_ADDRESS = guestAddress(0xf_fff0);
/** Nothing of an image may be below: that is where the structures above are. */
export const HIGH_MEMORY_START = guestAddress(MIB);

/** RAM below 4 GiB ends here at the latest. */
export const MMIO_HOLE_START = guestAddress(3 * GIB);
export const MMIO_HOLE_END = guestAddress(4 * GIB);
/** First virtio-mmio page; one page per device. */
export const VIRTIO_MMIO_BASE = MMIO_HOLE_START;
export const IO_APIC_ADDRESS = guestAddress(0xfec0_0000);
export const LOCAL_APIC_ADDRESS = guestAddress(0xfee0_0000);

/** Inputs of the I/O APIC that KVM emulates. */
export const IO_APIC_PIN_COUNT = 24;
/** Global system interrupts of the PC's own devices. */
export const LEGACY_GSI = { timer: 0, keyboard: 1, cascade: 2, serial: 4, rtc: 8, mouse: 12 } as const;

/** The Generic Event Device's. It is the clock's, which has no alarm and leaves its line alone. */
export const ACPI_EVENTS_GSI = LEGACY_GSI.rtc;

/**
 * Interrupts of the virtio-mmio pages, in order. Left out: those of LEGACY_GSI (12 because an i8042 driver asks for it)
 * and 3, which a serial driver takes for COM2.
 */
export const VIRTIO_MMIO_GSIS: readonly number[] = [5, 6, 7, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
/** How many virtio devices a machine can have. */
export const VIRTIO_MMIO_SLOT_COUNT = VIRTIO_MMIO_GSIS.length;

/** Where a virtio-mmio device is. */
export interface VirtioMmioSlot {
  readonly address: GuestAddress;
  readonly size: number;
  readonly gsi: number;
}

/** The slot of the n-th virtio device. @throws RangeError when there are only VIRTIO_MMIO_SLOT_COUNT */
export function virtioMmioSlot(index: number): VirtioMmioSlot {
  const gsi = VIRTIO_MMIO_GSIS[index];
  if (gsi === undefined) {
    throw new RangeError(
      `virtio device number ${index + 1}: the machine has interrupts for ${VIRTIO_MMIO_SLOT_COUNT}; remove devices`,
    );
  }
  return { address: guestAddress(VIRTIO_MMIO_BASE + index * PAGE_SIZE), size: PAGE_SIZE, gsi };
}

/** Port I/O of the devices that are not virtio. */
export const PORTS = {
  serial: { base: 0x3f8, length: 8 },
  i8042: { base: 0x60, length: 5 },
  cmos: { base: 0x70, length: 2 },
  pvpanic: { base: 0x505, length: 1 },
  power: { base: 0x600, length: 3 },
  pciConfiguration: { base: 0xcf8, length: 8 },
} as const;

/** The smallest memory a machine can have, bytes: Linux is loaded at 16 MiB and needs some of it above. */
export const MEMORY_SIZE_MIN = 32 * MIB;
/** The largest that is accepted: a guard against slips of the pen, far above what hosts have. */
export const MEMORY_SIZE_MAX = 1024 * GIB;

/** A piece of RAM by address. */
export interface RamRegion {
  readonly address: GuestAddress;
  readonly size: number;
}

/**
 * Where `memorySize` bytes of RAM are: from 0 up to the MMIO hole, the rest from 4 GiB on.
 * @throws RangeError when the size is no multiple of a page or not from MEMORY_SIZE_MIN to MEMORY_SIZE_MAX
 */
export function ramRegions(memorySize: number): readonly RamRegion[] {
  if (!(memorySize >= MEMORY_SIZE_MIN && memorySize <= MEMORY_SIZE_MAX) || memorySize % PAGE_SIZE !== 0) {
    throw new RangeError(
      `memory size of ${memorySize} bytes: give a multiple of ${PAGE_SIZE} from ${MEMORY_SIZE_MIN / MIB} MiB to ` +
        `${MEMORY_SIZE_MAX / GIB} GiB`,
    );
  }
  const low = { address: guestAddress(0), size: Math.min(memorySize, MMIO_HOLE_START) };
  const high = { address: MMIO_HOLE_END, size: memorySize - low.size };
  return high.size > 0 ? [low, high] : [low];
}

/**
 * Linux adds memory in blocks of 128 MiB to 2 GiB, which it chooses by where RAM ends (arch/x86/mm/init_64.c,
 * probe_memory_block_size): a region on such borders has no part that it could not use.
 */
const GROWTH_ALIGNMENT = 2 * GIB;
/** The smallest part of it that is plugged: a huge page, which is the least that Linux plugs (drivers/virtio/virtio_mem.c). */
const GROWTH_BLOCK_SIZE_MIN = 2 * MIB;
/** Blocks that a region has at most. */
const GROWTH_BLOCK_COUNT_MAX = 1024;

/** RAM that is plugged block by block. */
export interface GrowthRegion extends RamRegion {
  /** A power of two, bytes. */
  readonly blockSize: number;
}

/**
 * Where RAM is that is plugged while the guest runs: behind all other. No memory map has it (virtio 1.3, 5.15).
 * @param memorySize bytes of RAM that are there from the start @param growth bytes that can be plugged, more than 0
 */
export function growthRegion(memorySize: number, growth: number): GrowthRegion {
  const ramEnd = Math.max(...ramRegions(memorySize).map(({ address, size }) => address + size), MMIO_HOLE_END);
  const size = alignUp(growth, GROWTH_ALIGNMENT);
  const blockSize = Math.max(GROWTH_BLOCK_SIZE_MIN, 2 ** Math.ceil(Math.log2(size / GROWTH_BLOCK_COUNT_MAX)));
  return { address: guestAddress(alignUp(ramEnd, GROWTH_ALIGNMENT)), size, blockSize };
}

/** Where RAM below 4 GiB ends. */
export function lowRamEnd(memorySize: number): number {
  return Math.min(memorySize, MMIO_HOLE_START);
}

/** BIOS INT 15h, AX=E820h address range types (ACPI specification 6.5, 15.1). PVH uses the same numbers. */
export const E820_TYPE_RAM = 1;
export const E820_TYPE_RESERVED = 2;

/** An entry of the memory map that the kernel gets. */
export interface MemoryMapEntry extends RamRegion {
  readonly type: typeof E820_TYPE_RAM | typeof E820_TYPE_RESERVED;
}

/** The memory map: RAM without the PC's hole from 640 KiB to 1 MiB, of which the part with the tables is reserved. */
export function memoryMap(memorySize: number): readonly MemoryMapEntry[] {
  const above = ramRegions(memorySize).slice(1);
  return [
    { address: guestAddress(0), size: BASE_MEMORY_END, type: E820_TYPE_RAM },
    { address: ACPI_TABLES_ADDRESS, size: HIGH_MEMORY_START - ACPI_TABLES_ADDRESS, type: E820_TYPE_RESERVED },
    { address: HIGH_MEMORY_START, size: lowRamEnd(memorySize) - HIGH_MEMORY_START, type: E820_TYPE_RAM },
    ...above.map((region) => ({ ...region, type: E820_TYPE_RAM }) as const),
  ];
}
