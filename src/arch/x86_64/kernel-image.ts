// A kernel as the loader sees it, whatever file it came in.
import { isBzImage, parseBzImage } from './bzimage.ts';
import { isElf, parseElf } from './elf.ts';
import { recogniseForeignImage } from './foreign-image.ts';
import { hex, KernelImageError } from './kernel-image-error.ts';
import { HIGH_MEMORY_START, MMIO_HOLE_START } from './layout.ts';
import { blankSetupHeader } from './setup-header.ts';

/**
 * How a kernel is entered: at the 64-bit entry of the Linux/x86 boot protocol, or at the 32-bit one of PVH.
 */
export type BootProtocol = 'linux64' | 'pvh';

/** Bytes that belong into guest RAM, and the RAM they need there. */
export interface KernelSegment {
  readonly address: number;
  /** A view of the file. */
  readonly bytes: Uint8Array;
  /** Bytes of RAM that are the kernel's from `address` on; those behind `bytes` are zero. */
  readonly memorySize: number;
}

export interface KernelImage {
  readonly format: 'elf' | 'bzImage';
  readonly segments: readonly KernelSegment[];
  /** Where to enter, for each protocol that the kernel knows. */
  readonly entries: { readonly [protocol in BootProtocol]?: number };
  /** struct setup_header, to be completed by the loader. */
  readonly setupHeader: Uint8Array;
  /** Highest address that a byte of the initial RAM disk may have. */
  readonly initrdAddressMax: number;
  /** Longest command line in bytes, without the terminating zero. */
  readonly commandLineSizeMax: number;
}

/** What the kernel's own header says when it has one (arch/x86/boot/header.S: initrd_addr_max, cmdline_size). */
const INITRD_ADDRESS_MAX = 0x7fff_ffff;
const COMMAND_LINE_SIZE_MAX = 2047;

/**
 * Parses a kernel file: ELF vmlinux (or any ELF kernel with a PVH note), or bzImage. Needs no machine and writes nothing.
 * @throws KernelImageError
 */
export function parseKernel(file: Uint8Array): KernelImage {
  const image = isElf(file) ? fromElf(file) : isBzImage(file) ? fromBzImage(file) : undefined;
  if (image === undefined) {
    const foreign = recogniseForeignImage(file);
    throw new KernelImageError(
      foreign?.code ?? 'UNKNOWN_FORMAT',
      `${foreign === undefined ? `${file.length} bytes that are` : `it is ${foreign.what}:`} neither an ELF file nor a ` +
        'bzImage; give a vmlinux or the bzImage of a distribution',
    );
  }
  checkSegments(image.segments);
  return image;
}

function fromElf(file: Uint8Array): KernelImage {
  const { segments, entry, pvhEntry } = parseElf(file);
  const isLoaded = (address: number): boolean =>
    segments.some((segment) => address >= segment.address && address < segment.address + segment.bytes.length);
  const linux64 = entry !== undefined && isLoaded(entry) ? entry : undefined;
  const pvh = pvhEntry !== undefined && isLoaded(pvhEntry) ? pvhEntry : undefined;
  if (linux64 === undefined && pvh === undefined) {
    throw new KernelImageError(
      'NO_ENTRY',
      `neither the ELF entry (${entry === undefined ? 'above 4 GiB' : hex(entry)}) nor a PVH note points into a loaded ` +
        'segment',
    );
  }
  return {
    format: 'elf',
    segments,
    entries: { ...(linux64 !== undefined && { linux64 }), ...(pvh !== undefined && { pvh }) },
    setupHeader: blankSetupHeader(),
    initrdAddressMax: INITRD_ADDRESS_MAX,
    commandLineSizeMax: COMMAND_LINE_SIZE_MAX,
  };
}

function fromBzImage(file: Uint8Array): KernelImage {
  const image = parseBzImage(file);
  const isLoadedWhereItRuns = image.loadAddress === image.runtimeStart;
  const segments = isLoadedWhereItRuns
    ? [{ address: image.loadAddress, bytes: image.payload, memorySize: Math.max(image.initSize, image.payload.length) }]
    : [
        { address: image.loadAddress, bytes: image.payload, memorySize: image.payload.length },
        { address: image.runtimeStart, bytes: new Uint8Array(), memorySize: image.initSize },
      ];
  return {
    format: 'bzImage',
    segments,
    entries: { linux64: image.entry },
    setupHeader: image.setupHeader,
    initrdAddressMax: image.initrdAddressMax,
    commandLineSizeMax: image.commandLineSizeMax,
  };
}

/** What holds for every machine: nothing below 1 MiB or in the MMIO hole, and nothing that is loaded over something else. */
function checkSegments(segments: readonly KernelSegment[]): void {
  const sorted = segments.toSorted((a, b) => a.address - b.address);
  for (const [index, { address, memorySize }] of sorted.entries()) {
    const end = address + memorySize;
    if (address < HIGH_MEMORY_START || end > MMIO_HOLE_START) {
      throw new KernelImageError(
        'BAD_ADDRESS',
        `a part of it belongs at ${hex(address)} to ${hex(end)}; kernels can be from ${hex(HIGH_MEMORY_START)} to ` +
          hex(MMIO_HOLE_START),
      );
    }
    const next = sorted[index + 1];
    if (next !== undefined && next.address < end && next.bytes.length > 0) {
      throw new KernelImageError(
        'OVERLAP',
        `the parts at ${hex(address)} (${memorySize} bytes) and ${hex(next.address)} overlap`,
      );
    }
  }
}
