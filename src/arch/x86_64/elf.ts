// ELF-64 executables as kernels come in: loadable segments by physical address, and the PVH entry note.
// Only parses; what it gives refers to the file's bytes and nothing is copied.
// Sources: System V ABI, "Object Files" and "Program Loading"; Xen, xen/include/public/elfnote.h.
import { hex, KernelImageError } from './kernel-image-error.ts';

const EI_CLASS = 4;
const EI_DATA = 5;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;
const EV_CURRENT = 1;
const PT_LOAD = 1;
const PT_NOTE = 4;
/** sizeof(Elf64_Ehdr) and sizeof(Elf64_Phdr) */
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
/** sizeof(Elf64_Nhdr) */
const NHDR_SIZE = 12;
/** Xen's note with the physical address of the 32-bit PVH entry, 4 or 8 bytes. */
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
/** Kernels are loaded below 4 GiB: that is what the page tables map. */
const ADDRESS_MAX = 0xffff_ffffn;

/** A PT_LOAD segment. */
export interface ElfSegment {
  /** Physical address (p_paddr). */
  readonly address: number;
  /** Its bytes in the file (p_filesz of them). */
  readonly bytes: Uint8Array;
  /** Bytes it takes in memory (p_memsz); those beyond the file's are zero. */
  readonly memorySize: number;
}

export interface ElfFile {
  readonly segments: readonly ElfSegment[];
  /**
   * e_entry, if it is below 4 GiB. In a Linux vmlinux this is the physical address of startup_64; kernels that are only
   * started by PVH have a virtual address there.
   */
  readonly entry: number | undefined;
  /** Address in the note XEN_ELFNOTE_PHYS32_ENTRY, if there is one. */
  readonly pvhEntry: number | undefined;
}

/** Whether the bytes begin like an ELF file. */
export function isElf(file: Uint8Array): boolean {
  return file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

/**
 * Parses an ELF kernel.
 * @throws KernelImageError
 */
export function parseElf(file: Uint8Array): ElfFile {
  if (file.length < EHDR_SIZE) {
    throw new KernelImageError('TRUNCATED', `${file.length} bytes; an ELF header alone has ${EHDR_SIZE}`);
  }
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (view.getUint8(EI_CLASS) !== ELFCLASS64 || view.getUint8(EI_DATA) !== ELFDATA2LSB) {
    throw new KernelImageError(
      'WRONG_ARCHITECTURE',
      `ELF class ${view.getUint8(EI_CLASS)}, data encoding ${view.getUint8(EI_DATA)}; a 64-bit little-endian file ` +
        'is needed (class 2, encoding 1)',
    );
  }
  const machine = view.getUint16(18, true);
  if (machine !== EM_X86_64) {
    throw new KernelImageError('WRONG_ARCHITECTURE', `ELF machine ${machine}; x86-64 is ${EM_X86_64}`, { machine });
  }
  const type = view.getUint16(16, true);
  if ((type !== ET_EXEC && type !== ET_DYN) || view.getUint32(20, true) !== EV_CURRENT) {
    throw new KernelImageError('BAD_HEADER', `ELF type ${type}; an executable is needed (type 2 or 3, version 1)`);
  }
  const headers = programHeaders(view);
  const segments = headers.filter((header) => header.type === PT_LOAD && header.memorySize > 0);
  if (segments.length === 0) {
    throw new KernelImageError('BAD_HEADER', 'an ELF file without a loadable segment is no kernel');
  }
  const entry = view.getBigUint64(24, true);
  return {
    entry: entry <= ADDRESS_MAX ? Number(entry) : undefined,
    segments: segments.map((header) => {
      if (header.fileSize > header.memorySize) {
        throw new KernelImageError(
          'BAD_HEADER',
          `the segment at ${hex(header.address)} has ${header.fileSize} bytes in the file and ${header.memorySize} in memory`,
        );
      }
      return { address: header.address, memorySize: header.memorySize, bytes: contents(file, header) };
    }),
    pvhEntry: headers
      .filter((header) => header.type === PT_NOTE)
      .map((header) => findPvhEntry(contents(file, header)))
      .find((entry) => entry !== undefined),
  };
}

interface ProgramHeader {
  readonly type: number;
  readonly fileOffset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

function programHeaders(view: DataView): ProgramHeader[] {
  const entrySize = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (entrySize !== PHDR_SIZE) {
    throw new KernelImageError('BAD_HEADER', `e_phentsize is ${entrySize}; an ELF-64 program header has ${PHDR_SIZE}`);
  }
  const start = size(view.getBigUint64(32, true));
  if (start + count * PHDR_SIZE > view.byteLength) {
    throw new KernelImageError(
      'TRUNCATED',
      `${count} program headers at offset ${start} end behind the file's ${view.byteLength} bytes`,
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * PHDR_SIZE;
    const type = view.getUint32(at, true);
    return {
      type,
      fileOffset: size(view.getBigUint64(at + 8, true)),
      // Only of loadable segments: others (PT_GNU_STACK) may carry anything.
      address: type === PT_LOAD ? address(view.getBigUint64(at + 24, true)) : 0,
      fileSize: size(view.getBigUint64(at + 32, true)),
      memorySize: size(view.getBigUint64(at + 40, true)),
    };
  });
}

function contents(file: Uint8Array, { fileOffset, fileSize }: ProgramHeader): Uint8Array {
  if (fileOffset + fileSize > file.length) {
    throw new KernelImageError(
      'TRUNCATED',
      `a segment of ${fileSize} bytes at offset ${fileOffset} ends behind the file's ${file.length} bytes`,
    );
  }
  return file.subarray(fileOffset, fileOffset + fileSize);
}

/** Walks the notes of a PT_NOTE segment. Names and descriptors are padded to four bytes. */
function findPvhEntry(notes: Uint8Array): number | undefined {
  const view = new DataView(notes.buffer, notes.byteOffset, notes.length);
  let at = 0;
  while (at + NHDR_SIZE <= notes.length) {
    const nameSize = view.getUint32(at, true);
    const descriptorSize = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    const name = at + NHDR_SIZE;
    const descriptor = name + padded(nameSize);
    // A note that runs out of its segment ends the list, as for every reader of notes: nothing depends on it but PVH.
    if (descriptor + descriptorSize > notes.length) return undefined;
    const isXen = nameSize === 4 && String.fromCharCode(...notes.subarray(name, name + 4)) === 'Xen\0';
    if (isXen && type === XEN_ELFNOTE_PHYS32_ENTRY && descriptorSize >= 4) return view.getUint32(descriptor, true);
    at = descriptor + padded(descriptorSize);
  }
  return undefined;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Sizes and offsets beyond 2^53 are nothing a file can have: they compare as too large, exactly or not. */
function size(value: bigint): number {
  return Number(value);
}

function address(value: bigint): number {
  if (value > ADDRESS_MAX) {
    throw new KernelImageError(
      'BAD_ADDRESS',
      `physical address ${hex(value)}; kernels are loaded below 4 GiB (are the program headers' p_paddr physical?)`,
    );
  }
  return Number(value);
}
