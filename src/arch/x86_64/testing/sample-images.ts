// Small kernel images for tests: valid unless a test says otherwise.
import { MIB } from '../../../lib/units.ts';
import { SETUP_HEADER } from '../setup-header.ts';

export interface SampleSegment {
  readonly address: number | bigint;
  readonly bytes: Uint8Array;
  /** Default: the number of bytes. */
  readonly memorySize?: number | bigint;
}

export interface SampleElf {
  readonly segments?: readonly SampleSegment[];
  readonly entry?: number | bigint;
  /** Address in a Xen note XEN_ELFNOTE_PHYS32_ENTRY, which follows a note of somebody else. */
  readonly pvhEntry?: number;
}

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const PT_LOAD = 1;
const PT_NOTE = 4;

/** Makes an ELF-64 executable for x86-64: by default one segment of 64 bytes at 16 MiB, entered at its start. */
export function sampleElf(options: SampleElf = {}): Uint8Array {
  const segments = options.segments ?? [{ address: 16 * MIB, bytes: new Uint8Array(64).fill(0x90) }];
  const parts = [
    ...segments.map((segment) => ({ type: PT_LOAD, ...segment })),
    ...(options.pvhEntry === undefined ? [] : [{ type: PT_NOTE, address: 0, bytes: notes(options.pvhEntry) }]),
  ];
  const dataStart = EHDR_SIZE + parts.length * PHDR_SIZE;
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, dataStart));
  const view = new DataView(file.buffer);
  // e_ident: magic, 64 bits, little-endian, version 1.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(options.entry ?? segments[0]?.address ?? 0), true);
  view.setBigUint64(32, BigInt(EHDR_SIZE), true);
  view.setUint16(52, EHDR_SIZE, true);
  view.setUint16(54, PHDR_SIZE, true);
  view.setUint16(56, parts.length, true);
  let dataAt = dataStart;
  for (const [index, part] of parts.entries()) {
    const at = EHDR_SIZE + index * PHDR_SIZE;
    const memorySize = 'memorySize' in part ? (part.memorySize ?? part.bytes.length) : part.bytes.length;
    view.setUint32(at, part.type, true);
    view.setBigUint64(at + 8, BigInt(dataAt), true);
    view.setBigUint64(at + 24, BigInt(part.address), true);
    view.setBigUint64(at + 32, BigInt(part.bytes.length), true);
    view.setBigUint64(at + 40, BigInt(memorySize), true);
    file.set(part.bytes, dataAt);
    dataAt += part.bytes.length;
  }
  return file;
}

/** A note `GNU` of type 3 with 5 bytes (padded to 8), then Xen's. */
function notes(pvhEntry: number): Uint8Array {
  const bytes = new Uint8Array(24 + 20);
  const view = new DataView(bytes.buffer);
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  view.setUint32(0, 4, true);
  view.setUint32(4, 5, true);
  view.setUint32(8, 3, true);
  bytes.set(encode('GNU\0'), 12);
  view.setUint32(24, 4, true);
  view.setUint32(28, 4, true);
  view.setUint32(32, 18, true);
  bytes.set(encode('Xen\0'), 36);
  view.setUint32(40, pvhEntry, true);
  return bytes;
}

type SetupField = keyof typeof SETUP_HEADER;

/** Fields of the sample's setup header, as a recent distribution kernel has them. */
const BZIMAGE_FIELDS: Partial<Record<SetupField, number>> = {
  setup_sects: 2,
  boot_flag: 0xaa55,
  // A jump to 0x26c: the header ends there.
  jump: 0x6aeb,
  header: 0x5372_6448,
  version: 0x20f,
  loadflags: 0x01,
  code32_start: MIB,
  initrd_addr_max: 0x7fff_ffff,
  kernel_alignment: 2 * MIB,
  relocatable_kernel: 1,
  xloadflags: 0x3f,
  cmdline_size: 2047,
  pref_address: 16 * MIB,
  init_size: 4 * MIB,
};

/** Makes a bzImage with a payload of 0x90 bytes. */
export function sampleBzImage(fields: Partial<Record<SetupField, number>> = {}, payloadSize = 1024): Uint8Array {
  const all = { ...BZIMAGE_FIELDS, syssize: payloadSize / 16, ...fields };
  const start = (Number(all.setup_sects) + 1) * 512;
  const file = new Uint8Array(start + payloadSize).fill(0x90, start);
  const view = new DataView(file.buffer);
  for (const [name, value] of Object.entries(all)) {
    const { offset, size } = SETUP_HEADER[name as SetupField];
    for (let index = 0; index < size; index++)
      view.setUint8(offset + index, Math.floor(value / 2 ** (8 * index)) & 0xff);
  }
  return file;
}

/** Gives a copy in which bytes were replaced. */
export function patched(file: Uint8Array, offset: number, bytes: readonly number[]): Uint8Array {
  const copy = file.slice();
  copy.set(bytes, offset);
  return copy;
}
