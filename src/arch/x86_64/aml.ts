// The little of ACPI's machine language that describes devices: names, values and resources.
// Source: ACPI specification 6.5, 20.2 "AML Grammar Definition" and 6.4 "Resource Data Types for ACPI".

const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const EXT_OP_PREFIX = 0x5b;
const DEVICE_OP = 0x82;

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
  const consumer = 1 << 0;
  const edge = 1 << 1;
  return [0x89, ...u16(6), consumer | edge, 1, ...u32(gsi)];
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
