// bzImage: the setup header, and the protected-mode code behind the real-mode sectors.
// Only parses; what it gives refers to the file's bytes and nothing is copied.
// Source: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and "Details of Header Fields".
import { alignUp } from '../../lib/units.ts';
import { hex, KernelImageError } from './kernel-image-error.ts';
import {
  BOOT_FLAG,
  BOOT_PROTOCOL_2_12,
  HEADER_MAGIC,
  SETUP_HEADER,
  SETUP_HEADER_OFFSET,
  SETUP_HEADER_SIZE_MAX,
} from './setup-header.ts';

const SECTOR_SIZE = 512;
/** "if the setup_sects field contains 0, the real value is 4" */
const SETUP_SECTORS_DEFAULT = 4;
/** loadflags bit 0: the protected-mode code is loaded at 1 MiB (else it is a zImage). */
const LOADED_HIGH = 1 << 0;
/** xloadflags bit 0: there is a 64-bit entry at 0x200. */
const XLF_KERNEL_64 = 1 << 0;
const KERNEL_64_ENTRY_OFFSET = 0x200;
/** syssize counts paragraphs. */
const PARAGRAPH_SIZE = 16;

export interface BzImage {
  /** The setup header as it is in the file, from offset 0x1f1 on; goes into the zero page. */
  readonly setupHeader: Uint8Array;
  /** The protected-mode code. */
  readonly payload: Uint8Array;
  /** Where the payload is to be loaded. */
  readonly loadAddress: number;
  /** Where the kernel will unpack itself, and how many bytes it needs there before it can read the memory map. */
  readonly runtimeStart: number;
  readonly initSize: number;
  /** Address of the 64-bit entry. */
  readonly entry: number;
  /** Highest address that a byte of the initial RAM disk may have. */
  readonly initrdAddressMax: number;
  /** Longest command line, without the terminating zero. */
  readonly commandLineSizeMax: number;
}

/** Whether the bytes carry the magic of a Linux/x86 boot sector. */
export function isBzImage(file: Uint8Array): boolean {
  const at = SETUP_HEADER.header.offset;
  return String.fromCharCode(...file.subarray(at, at + 4)) === HEADER_MAGIC;
}

/**
 * Parses a bzImage.
 * @throws KernelImageError
 */
export function parseBzImage(file: Uint8Array): BzImage {
  if (file.length < SETUP_HEADER_OFFSET + SETUP_HEADER_SIZE_MAX) {
    throw new KernelImageError('TRUNCATED', `${file.length} bytes; the setup header of a bzImage ends later`);
  }
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const version = view.getUint16(SETUP_HEADER.version.offset, true);
  if (view.getUint16(SETUP_HEADER.boot_flag.offset, true) !== BOOT_FLAG) {
    throw new KernelImageError('BAD_HEADER', `a bzImage has ${hex(BOOT_FLAG)} at offset 0x1fe, this file has not`);
  }
  if (version < BOOT_PROTOCOL_2_12) {
    throw new KernelImageError(
      'OLD_PROTOCOL',
      `boot protocol ${version >> 8}.${version & 0xff}; a 64-bit entry came with 2.12 (Linux 3.8)`,
      { version },
    );
  }
  if ((view.getUint8(SETUP_HEADER.loadflags.offset) & LOADED_HIGH) === 0) {
    throw new KernelImageError('BAD_HEADER', 'a zImage, which is loaded below 1 MiB; a bzImage is needed');
  }
  if ((view.getUint16(SETUP_HEADER.xloadflags.offset, true) & XLF_KERNEL_64) === 0) {
    throw new KernelImageError('WRONG_ARCHITECTURE', 'a 32-bit kernel (XLF_KERNEL_64 is not set); x86-64 is needed');
  }
  const payload = protectedModeCode(file, view);
  const placement = place(view, payload.length);
  return {
    setupHeader: setupHeader(file, view),
    payload,
    ...placement,
    entry: placement.loadAddress + KERNEL_64_ENTRY_OFFSET,
    initrdAddressMax: view.getUint32(SETUP_HEADER.initrd_addr_max.offset, true),
    commandLineSizeMax: view.getUint32(SETUP_HEADER.cmdline_size.offset, true),
  };
}

function protectedModeCode(file: Uint8Array, view: DataView): Uint8Array {
  const setupSectors = view.getUint8(SETUP_HEADER.setup_sects.offset) || SETUP_SECTORS_DEFAULT;
  const start = (setupSectors + 1) * SECTOR_SIZE;
  const size = view.getUint32(SETUP_HEADER.syssize.offset, true) * PARAGRAPH_SIZE;
  // The last paragraph may be incomplete, and behind it there may be a signature.
  if (start + size - (PARAGRAPH_SIZE - 1) > file.length) {
    throw new KernelImageError(
      'TRUNCATED',
      `the header promises ${size} bytes of kernel at offset ${start}; the file has ${file.length}`,
    );
  }
  if (size <= KERNEL_64_ENTRY_OFFSET) {
    throw new KernelImageError('BAD_HEADER', `syssize is ${size} bytes; the 64-bit entry alone is at offset 0x200`);
  }
  return file.subarray(start, start + size);
}

/** boot.rst, init_size: how the runtime start address follows from load address, preference and alignment. */
function place(view: DataView, payloadSize: number): Pick<BzImage, 'loadAddress' | 'runtimeStart' | 'initSize'> {
  const alignment = view.getUint32(SETUP_HEADER.kernel_alignment.offset, true);
  const preferred = view.getBigUint64(SETUP_HEADER.pref_address.offset, true);
  const initSize = view.getUint32(SETUP_HEADER.init_size.offset, true);
  if (preferred > 0xffff_ffffn) {
    throw new KernelImageError('BAD_ADDRESS', `pref_address is ${hex(preferred)}; kernels are loaded below 4 GiB`);
  }
  if (view.getUint8(SETUP_HEADER.relocatable_kernel.offset) === 0) {
    const loadAddress = view.getUint32(SETUP_HEADER.code32_start.offset, true);
    return { loadAddress, runtimeStart: Number(preferred), initSize };
  }
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    throw new KernelImageError('BAD_HEADER', `kernel_alignment is ${hex(alignment)}; it must be a power of two`);
  }
  // A relocatable kernel moves up to pref_address if it is loaded lower: load it where it will run.
  const start = alignUp(Number(preferred), alignment);
  return { loadAddress: start, runtimeStart: start, initSize: Math.max(initSize, payloadSize) };
}

/** "The end of setup header can be calculated as follows: 0x0202 + byte value at offset 0x0201" (the jump's distance). */
function setupHeader(file: Uint8Array, view: DataView): Uint8Array {
  const end = SETUP_HEADER.header.offset + view.getUint8(SETUP_HEADER.jump.offset + 1);
  const size = Math.min(end - SETUP_HEADER_OFFSET, SETUP_HEADER_SIZE_MAX);
  return file.slice(SETUP_HEADER_OFFSET, SETUP_HEADER_OFFSET + size);
}
