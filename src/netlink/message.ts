// The framing of netlink: messages, attributes, errors (netlink(7), include/uapi/linux/netlink.h). Pure: bytes in, plain data
// out. Numbers are in the machine's order, which is little-endian.
import * as abi from './abi.gen.ts';

/** Messages and attributes begin at multiples of this (NLMSG_ALIGNTO, NLA_ALIGNTO). */
const ALIGNMENT = 4;

const aligned = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** Type and contents. */
export type Attribute = readonly [type: number, value: Uint8Array];

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the header. */
  readonly payload: Uint8Array;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** The number in an attribute; 0 for one that is missing. */
export function uint32Of(value: Uint8Array | undefined): number {
  return value === undefined || value.length < 4 ? 0 : viewOf(value).getUint32(0, true);
}

/** A C string of ASCII, as the kernel takes names of interfaces. */
export function cString(text: string): Uint8Array {
  return Uint8Array.from([...text, '\0'], (character) => character.charCodeAt(0));
}

/** The text of a C string. Bytes beyond ASCII are shown as Latin-1. */
export function textOf(value: Uint8Array | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return String.fromCharCode(...(end < 0 ? value : value.subarray(0, end)));
}

/** Attributes one after the other, each padded. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const size = attributes.reduce((sum, [, value]) => sum + aligned(abi.SIZEOF_nlattr + value.length), 0);
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  let offset = 0;
  for (const [type, value] of attributes) {
    view.setUint16(offset, abi.SIZEOF_nlattr + value.length, true);
    view.setUint16(offset + 2, type, true);
    bytes.set(value, offset + abi.SIZEOF_nlattr);
    offset += aligned(abi.SIZEOF_nlattr + value.length);
  }
  return bytes;
}

/** Attributes by type; of several of one type the last. */
export function decodeAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  for (let offset = 0; offset + abi.SIZEOF_nlattr <= bytes.length; ) {
    const length = view.getUint16(offset, true);
    if (length < abi.SIZEOF_nlattr || offset + length > bytes.length) break;
    const type = view.getUint16(offset + 2, true) & abi.NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(offset + abi.SIZEOF_nlattr, offset + length));
    offset += aligned(length);
  }
  return attributes;
}

/** A family's own header and the attributes behind it. */
export function encodePayload(header: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const rest = encodeAttributes(attributes);
  const payload = new Uint8Array(aligned(header.length) + rest.length);
  payload.set(header);
  payload.set(rest, aligned(header.length));
  return payload;
}

/** The parts of a payload. @param headerSize of the family's own header */
export function decodePayload(
  payload: Uint8Array,
  headerSize: number,
): { header: DataView; attributes: Map<number, Uint8Array> } {
  return { header: viewOf(payload), attributes: decodeAttributes(payload.subarray(aligned(headerSize))) };
}

export function encodeMessage({ type, flags, sequence, payload }: NetlinkMessage): Uint8Array {
  const bytes = new Uint8Array(abi.SIZEOF_nlmsghdr + payload.length);
  const view = viewOf(bytes);
  view.setUint32(abi.OFFSETOF_nlmsghdr_nlmsg_len, bytes.length, true);
  view.setUint16(abi.OFFSETOF_nlmsghdr_nlmsg_type, type, true);
  view.setUint16(abi.OFFSETOF_nlmsghdr_nlmsg_flags, flags, true);
  view.setUint32(abi.OFFSETOF_nlmsghdr_nlmsg_seq, sequence, true);
  bytes.set(payload, abi.SIZEOF_nlmsghdr);
  return bytes;
}

/** The messages of one datagram. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(bytes);
  for (let offset = 0; offset + abi.SIZEOF_nlmsghdr <= bytes.length; ) {
    const length = view.getUint32(offset + abi.OFFSETOF_nlmsghdr_nlmsg_len, true);
    if (length < abi.SIZEOF_nlmsghdr || offset + length > bytes.length) break;
    messages.push({
      type: view.getUint16(offset + abi.OFFSETOF_nlmsghdr_nlmsg_type, true),
      flags: view.getUint16(offset + abi.OFFSETOF_nlmsghdr_nlmsg_flags, true),
      sequence: view.getUint32(offset + abi.OFFSETOF_nlmsghdr_nlmsg_seq, true),
      payload: bytes.subarray(offset + abi.SIZEOF_nlmsghdr, offset + length),
    });
    offset += aligned(length);
  }
  return messages;
}

/**
 * What NLMSG_ERROR says: the error number, 0 for an acknowledgement, and the kernel's own words where it has some. The request
 * is not repeated in it (NETLINK_CAP_ACK), only its header.
 */
export function decodeError({ payload, flags }: NetlinkMessage): { errno: number; reason: string } {
  const errno = 0 - viewOf(payload).getInt32(abi.OFFSETOF_nlmsgerr_error, true);
  if ((flags & abi.NLM_F_ACK_TLVS) === 0) return { errno, reason: '' };
  const { attributes } = decodePayload(payload, abi.SIZEOF_nlmsgerr);
  return { errno, reason: textOf(attributes.get(abi.NLMSGERR_ATTR_MSG)) };
}

/** The error number at the end of a list; 0 when all is well. */
export function doneErrno({ payload }: NetlinkMessage): number {
  return payload.length < 4 ? 0 : 0 - viewOf(payload).getInt32(0, true);
}
