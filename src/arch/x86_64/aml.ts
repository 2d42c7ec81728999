// The little of ACPI's machine language that describes devices: names, values and resources, and a method that reads a register
// and notifies.
// Source: ACPI specification 6.5, 20.2 "AML Grammar Definition" and 6.4 "Resource Data Types for ACPI".

const ZERO_OP = 0x00;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const METHOD_OP = 0x14;
const EXT_OP_PREFIX = 0x5b;
const OP_REGION_OP = 0x80;
const FIELD_OP = 0x81;
const DEVICE_OP = 0x82;
const LOCAL0_OP = 0x60;
const STORE_OP = 0x70;
const AND_OP = 0x7b;
const NOTIFY_OP = 0x86;
const IF_OP = 0xa0;
/** OperationRegion: RegionSpace. */
const SYSTEM_IO = 1;
/** Field: FieldFlags: ByteAcc, NoLock, WriteAsZeros. */
const BYTE_ACC_WRITE_AS_ZEROS = 0x41;
/** Method: MethodFlags. */
const SERIALIZED = 1 << 3;

type Aml = readonly number[];

/** `Scope (path) { ... }`; the path is absolute, one name: `\_SB_`. */
export function scope(path: string, body: Aml): Aml {
  return [SCOPE_OP, ...withLength([...ascii(path), ...body])];
}

/** `Device (name) { ... }`; names have four characters. */
export function device(name: string, body: Aml): Aml {
  return [EXT_OP_PREFIX, DEVICE_OP, ...withLength([...ascii(name), ...body])];
}

/** `Name (name, "text")` */
export function nameString(name: string, text: string): Aml {
  return [NAME_OP, ...ascii(name), STRING_PREFIX, ...ascii(text), 0];
}

/** `Name (name, value)` for values below 256. */
export function nameByte(name: string, value: number): Aml {
  return [NAME_OP, ...ascii(name), BYTE_PREFIX, value];
}

/** `Name (_CRS, ResourceTemplate () { ... })` */
export function currentResources(...resources: readonly Aml[]): Aml {
  // End tag; a checksum of zero counts as right (6.4.2.9).
  const bytes = [...resources.flat(), 0x79, 0];
  return [NAME_OP, ...ascii('_CRS'), BUFFER_OP, ...withLength([WORD_PREFIX, ...u16(bytes.length), ...bytes])];
}

/** `IO (Decode16, base, base, 1, length)`: 6.4.2.5 "I/O Port Descriptor" */
export function ioPorts(base: number, length: number): Aml {
  return [0x47, 1, ...u16(base), ...u16(base), 1, length];
}

/** `Memory32Fixed (ReadWrite, base, length)`: 6.4.3.4 "32-Bit Fixed Memory Range Descriptor" */
export function memory32Fixed(base: number, length: number): Aml {
  return [0x86, ...u16(9), 1, ...u32(base), ...u32(length)];
}

/** `Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {gsi}`: 6.4.3.6 "Extended Interrupt Descriptor" */
export function edgeInterrupt(gsi: number): Aml {
  return interrupt(gsi, INTERRUPT_EDGE);
}

/** `Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {gsi}` */
export function levelInterrupt(gsi: number): Aml {
  return interrupt(gsi, 0);
}

const INTERRUPT_CONSUMER = 1 << 0;
const INTERRUPT_EDGE = 1 << 1;

function interrupt(gsi: number, flags: number): Aml {
  return [0x89, ...u16(6), INTERRUPT_CONSUMER | flags, 1, ...u32(gsi)];
}

/** `Name (name, Package () {values})` for values below 2^32. */
export function namePackage(name: string, values: readonly number[]): Aml {
  const elements = values.flatMap((value) => [DWORD_PREFIX, ...u32(value)]);
  return [NAME_OP, ...ascii(name), PACKAGE_OP, ...withLength([values.length, ...elements])];
}

/** `OperationRegion (region, SystemIO, port, 1)` and `Field (region, ByteAcc, NoLock, WriteAsZeros) {name, 8}` */
export function byteRegister(region: string, name: string, port: number): Aml {
  const BITS = 8;
  return [
    ...[EXT_OP_PREFIX, OP_REGION_OP, ...ascii(region), SYSTEM_IO, WORD_PREFIX, ...u16(port), BYTE_PREFIX, 1],
    ...[EXT_OP_PREFIX, FIELD_OP, ...withLength([...ascii(region), BYTE_ACC_WRITE_AS_ZEROS, ...ascii(name), BITS])],
  ];
}

/** `Method (name, argumentCount, Serialized) { ... }` */
export function method(name: string, argumentCount: number, body: Aml): Aml {
  return [METHOD_OP, ...withLength([...ascii(name), argumentCount | SERIALIZED, ...body])];
}

/** `Local0 = name` */
export function loadLocal0(name: string): Aml {
  return [STORE_OP, ...ascii(name), LOCAL0_OP];
}

/** `If (Local0 & mask) { Notify (device, value) }` for masks and values below 256. */
export function notifyIfLocal0Has(mask: number, device: string, value: number): Aml {
  const predicate = [AND_OP, LOCAL0_OP, BYTE_PREFIX, mask, ZERO_OP];
  return [IF_OP, ...withLength([...predicate, NOTIFY_OP, ...ascii(device), BYTE_PREFIX, value])];
}

/** 20.2.4 "Package Length Encoding": the length counts itself; one byte up to 63, else four bits and up to three bytes. */
function withLength(body: Aml): Aml {
  if (body.length + 1 < 64) return [body.length + 1, ...body];
  const following = body.length + 2 < 2 ** 12 ? 1 : body.length + 3 < 2 ** 20 ? 2 : 3;
  const total = body.length + 1 + following;
  const bytes = Array.from({ length: following }, (_, index) => (total >>> (4 + 8 * index)) & 0xff);
  return [(following << 6) | (total & 0xf), ...bytes, ...body];
}

function ascii(text: string): Aml {
  return [...new TextEncoder().encode(text)];
}

function u16(value: number): Aml {
  return [value & 0xff, value >>> 8];
}

function u32(value: number): Aml {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
