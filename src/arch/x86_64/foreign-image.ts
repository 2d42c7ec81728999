// What a file is that is no kernel of ours, as far as its first bytes tell: so that the refusal can say what to do.
// Sources: Linux, Documentation/arch/arm64/booting.rst, Documentation/arch/riscv/boot-image-header.rst,
// arch/arm/boot/compressed/head.S, drivers/firmware/efi/libstub/zboot-header.S; Microsoft PE format, "Machine Types".
import type { KernelImageErrorCode } from './kernel-image-error.ts';

interface ForeignImage {
  readonly code: KernelImageErrorCode;
  /** Completes "it is ...". */
  readonly what: string;
}

interface Magic extends ForeignImage {
  readonly offset: number;
  readonly bytes: readonly number[];
}

function compressed(name: string, bytes: readonly number[]): Magic {
  return { offset: 0, bytes, code: 'UNKNOWN_FORMAT', what: `compressed with ${name}; unpack it first` };
}

function otherProcessor(name: string, offset: number, bytes: readonly number[]): Magic {
  return { offset, bytes, code: 'WRONG_ARCHITECTURE', what: `a kernel for ${name}; x86-64 is needed` };
}

/** The more telling ones first: an arm64 kernel may be an EFI program too. */
const MAGICS: readonly Magic[] = [
  otherProcessor('arm64', 0x38, ascii('ARM\x64')),
  otherProcessor('RISC-V', 0x38, ascii('RSC\x05')),
  otherProcessor('32-bit ARM', 0x24, [0x18, 0x28, 0x6f, 0x01]),
  compressed('gzip', [0x1f, 0x8b]),
  compressed('xz', [0xfd, ...ascii('7zXZ\0')]),
  compressed('zstd', [0x28, 0xb5, 0x2f, 0xfd]),
  compressed('bzip2', ascii('BZh')),
  compressed('lz4', [0x04, 0x22, 0x4d, 0x18]),
  compressed('lz4', [0x02, 0x21, 0x4c, 0x18]),
  compressed('LZMA', [0x5d, 0x00, 0x00]),
  { offset: 0, bytes: ascii('07070'), code: 'UNKNOWN_FORMAT', what: 'a cpio archive, such as an initial RAM disk' },
  { offset: 0, bytes: [0x27, 0x05, 0x19, 0x56], code: 'UNKNOWN_FORMAT', what: 'an image for U-Boot' },
  { offset: 0, bytes: ascii('#!'), code: 'UNKNOWN_FORMAT', what: 'a script' },
];

const DOS_MAGIC = ascii('MZ');
const ZBOOT_MAGIC = ascii('zimg');
const ZBOOT_MAGIC_OFFSET = 4;
/** e_lfanew: offset of the PE header. */
const PE_OFFSET_FIELD = 0x3c;
const PE_MAGIC = ascii('PE\0\0');
/** IMAGE_FILE_MACHINE_AMD64 */
const PE_MACHINE_AMD64 = 0x8664;

/** What the file is, if that can be told. */
export function recogniseForeignImage(file: Uint8Array): ForeignImage | undefined {
  return MAGICS.find(({ offset, bytes }) => has(file, offset, bytes)) ?? recogniseEfiProgram(file);
}

function recogniseEfiProgram(file: Uint8Array): ForeignImage | undefined {
  if (!has(file, 0, DOS_MAGIC)) return undefined;
  if (has(file, ZBOOT_MAGIC_OFFSET, ZBOOT_MAGIC)) {
    return { code: 'UNKNOWN_FORMAT', what: 'a kernel packed as an EFI program (zboot); unpack it first' };
  }
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const at = file.length < PE_OFFSET_FIELD + 4 ? file.length : view.getUint32(PE_OFFSET_FIELD, true);
  if (!has(file, at, PE_MAGIC) || at + 6 > file.length) return undefined;
  const machine = view.getUint16(at + 4, true);
  return machine === PE_MACHINE_AMD64
    ? { code: 'UNKNOWN_FORMAT', what: 'an EFI program; of a unified kernel image the kernel is the section .linux' }
    : { code: 'WRONG_ARCHITECTURE', what: `an EFI program for machine 0x${machine.toString(16)}; x86-64 is needed` };
}

function has(file: Uint8Array, offset: number, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => file[offset + index] === byte);
}

function ascii(text: string): readonly number[] {
  return [...new TextEncoder().encode(text)];
}
