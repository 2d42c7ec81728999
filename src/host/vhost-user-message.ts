// Messages of the vhost-user protocol, version 1 (QEMU's documentation, "Vhost-user Protocol"): plain data in, bytes out,
// and back. Who sends them, and which descriptors go with them, is vhost-user.ts's business.

/** VHOST_USER_* requests of the front end. */
export const REQUEST = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  SET_DEVICE_STATE_FD: 42,
  CHECK_DEVICE_STATE: 43,
} as const;

export type RequestName = keyof typeof REQUEST;

/** The feature bit that stands for the protocol's own features; it is never the guest's. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;
/** GET_QUEUE_NUM is there. */
export const VHOST_USER_PROTOCOL_F_MQ = 0;
/** Any request can ask for an answer. */
export const VHOST_USER_PROTOCOL_F_REPLY_ACK = 3;
/** The configuration space comes from the back end. */
export const VHOST_USER_PROTOCOL_F_CONFIG = 9;
/** The back end's own state can be saved and loaded. */
export const VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19;
/** In the answer to SET_DEVICE_STATE_FD: the back end takes the descriptor that it was given. */
export const VHOST_USER_VRING_NOFD_MASK = 0x100n;
/** Which way the state goes: from the back end to the front end, or back. */
export const TRANSFER_STATE_DIRECTION = { SAVE: 0, LOAD: 1 } as const;
/** VHOST_USER_MAX_CONFIG_SIZE */
export const MAX_CONFIG_SIZE = 256;

/** VHOST_MEMORY_BASELINE_NREGIONS: regions that every back end takes. */
export const MAX_MEMORY_REGIONS = 8;

/** Bytes of the header: request, flags, size of the payload, u32 each. */
export const MESSAGE_HEADER_SIZE = 12;
const CONFIG_HEADER_SIZE = 12;
const VERSION = 1;
const VERSION_MASK = 0x3;
const REPLY = 0x4;
const NEED_REPLY = 0x8;

/** One region of guest memory. The addresses of rings are named by guest addresses too: the table says so. */
export interface SharedRegion {
  readonly guestAddress: number;
  readonly size: number;
  /** Offset of its first byte in the descriptor that goes with it. */
  readonly fdOffset: number;
}

export interface RingAddresses {
  readonly descriptorTable: number;
  readonly availableRing: number;
  readonly usedRing: number;
}

export function encodeMessage(request: RequestName, payload: Uint8Array, needsReply: boolean): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, REQUEST[request], true);
  view.setUint32(4, VERSION | (needsReply ? NEED_REPLY : 0), true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, MESSAGE_HEADER_SIZE);
  return bytes;
}

/** @returns the size of the payload, or what is wrong with this as the header of a reply to `request` */
export function checkReplyHeader(request: RequestName, header: Uint8Array, payloadSize: number): string | undefined {
  const view = new DataView(header.buffer, header.byteOffset, MESSAGE_HEADER_SIZE);
  const [answered, flags, size] = [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  if (answered !== REQUEST[request]) return `an answer to request ${answered}`;
  if ((flags & VERSION_MASK) !== VERSION || (flags & REPLY) === 0) return `flags 0x${flags.toString(16)}`;
  if (size !== payloadSize) return `${size} bytes, not ${payloadSize}`;
  return undefined;
}

export function encodeU64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}

export function decodeU64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}

/** struct vhost_vring_state */
export function encodeRingState(index: number, value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([index, value]).buffer);
}

/** The number in a struct vhost_vring_state. */
export function decodeRingState(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(4, true);
}

/** struct vhost_vring_addr */
export function encodeRingAddresses(index: number, ring: RingAddresses): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, index, true);
  view.setBigUint64(8, BigInt(ring.descriptorTable), true);
  view.setBigUint64(16, BigInt(ring.usedRing), true);
  view.setBigUint64(24, BigInt(ring.availableRing), true);
  return bytes;
}

/** offset, size and flags of a part of the configuration space, and its bytes. */
export function encodeConfig(offset: number, bytes: Uint8Array): Uint8Array {
  const payload = new Uint8Array(CONFIG_HEADER_SIZE + bytes.length);
  new DataView(payload.buffer).setUint32(0, offset, true);
  new DataView(payload.buffer).setUint32(4, bytes.length, true);
  payload.set(bytes, CONFIG_HEADER_SIZE);
  return payload;
}

/** The bytes of an answer to GET_CONFIG. */
export function decodeConfig(payload: Uint8Array): Uint8Array {
  return payload.subarray(CONFIG_HEADER_SIZE);
}

/** Direction and phase of a transfer of the back end's state; the one phase that there is: the device is stopped. */
export function encodeStateTransfer(direction: keyof typeof TRANSFER_STATE_DIRECTION): Uint8Array {
  return new Uint8Array(new Uint32Array([TRANSFER_STATE_DIRECTION[direction], 0]).buffer);
}

/** The table of memory regions; the descriptors go along in the same order. */
export function encodeMemoryTable(regions: readonly SharedRegion[]): Uint8Array {
  const bytes = new Uint8Array(8 + 32 * regions.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, regions.length, true);
  for (const [index, { guestAddress, size, fdOffset }] of regions.entries()) {
    const at = 8 + 32 * index;
    view.setBigUint64(at, BigInt(guestAddress), true);
    view.setBigUint64(at + 8, BigInt(size), true);
    view.setBigUint64(at + 16, BigInt(guestAddress), true);
    view.setBigUint64(at + 24, BigInt(fdOffset), true);
  }
  return bytes;
}
