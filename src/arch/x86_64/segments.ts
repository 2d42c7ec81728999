// Segments of the boot processor, as the processor caches them and as descriptors in the GDT.
// Source: Intel SDM 3A, 3.4.5 "Segment Descriptors" and 7.2.2 "TSS Descriptor"; selectors: Linux/x86 boot protocol.
import type { Segment } from '../../hypervisor/ports.ts';

/** "a GDT must be loaded with the descriptors for selectors __BOOT_CS(0x10) and __BOOT_DS(0x18)" (boot.rst). */
const BOOT_CS = 0x10;
const BOOT_DS = 0x18;
const BOOT_TSS = 0x20;

/** Segment types (Intel SDM 3A, tables 3-1 and 3-2). */
const TYPE_DATA_READ_WRITE_ACCESSED = 0x3;
const TYPE_CODE_EXECUTE_READ_ACCESSED = 0xb;
const TYPE_LDT = 0x2;
/** Busy 32-bit TSS, and in long mode the busy 64-bit one. */
const TYPE_TSS_BUSY = 0xb;

const FLAT: Segment = {
  base: 0n,
  limit: 0xffff_ffff,
  selector: 0,
  type: 0,
  present: 1,
  dpl: 0,
  db: 1,
  s: 1,
  l: 0,
  g: 1,
  avl: 0,
};

/** 64-bit code: execute and read, L=1, D=0. */
export const CODE_64: Segment = { ...FLAT, selector: BOOT_CS, type: TYPE_CODE_EXECUTE_READ_ACCESSED, db: 0, l: 1 };
/** 32-bit code, base 0, limit 4 GiB. */
export const CODE_32: Segment = { ...FLAT, selector: BOOT_CS, type: TYPE_CODE_EXECUTE_READ_ACCESSED };
/** Data: read and write, base 0, limit 4 GiB. */
export const DATA: Segment = { ...FLAT, selector: BOOT_DS, type: TYPE_DATA_READ_WRITE_ACCESSED };
/** A task state segment nobody uses; a processor that runs must have one (limit 0x67: PVH asks for exactly that). */
export const TSS: Segment = { ...FLAT, limit: 0x67, selector: BOOT_TSS, type: TYPE_TSS_BUSY, db: 0, s: 0, g: 0 };
/** No local descriptor table. */
export const NO_LDT: Segment = { ...FLAT, limit: 0, type: TYPE_LDT, present: 0, db: 0, s: 0, g: 0 };

/** A segment as its 8-byte descriptor. */
function descriptor(segment: Segment): bigint {
  const limit = BigInt(segment.g === 1 ? segment.limit >>> 12 : segment.limit);
  const access = BigInt(segment.type | (segment.s << 4) | (segment.dpl << 5) | (segment.present << 7));
  const flags = BigInt(segment.avl | (segment.l << 1) | (segment.db << 2) | (segment.g << 3));
  return (
    (limit & 0xffffn) |
    ((segment.base & 0xff_ffffn) << 16n) |
    (access << 40n) |
    ((limit >> 16n) << 48n) |
    (flags << 52n) |
    (((segment.base >> 24n) & 0xffn) << 56n)
  );
}

/** Makes the GDT for a boot processor that starts in `code`; the TSS has the 16-byte form of long mode. */
export function encodeGdt(code: Segment): Uint8Array {
  const bytes = new Uint8Array(BOOT_TSS + 16);
  const view = new DataView(bytes.buffer);
  for (const segment of [code, DATA, TSS]) view.setBigUint64(segment.selector, descriptor(segment), true);
  return bytes;
}
