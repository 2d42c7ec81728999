// Requests of a driver and their answers (virtio 1.3, 5.15.6): bytes in, plain data out, and back.
import {
  VIRTIO_MEM_REQ_PLUG,
  VIRTIO_MEM_REQ_STATE,
  VIRTIO_MEM_REQ_UNPLUG,
  VIRTIO_MEM_REQ_UNPLUG_ALL,
  VIRTIO_MEM_RESP_ACK,
  VIRTIO_MEM_RESP_BUSY,
  VIRTIO_MEM_RESP_ERROR,
  VIRTIO_MEM_RESP_NACK,
  VIRTIO_MEM_STATE_MIXED,
  VIRTIO_MEM_STATE_PLUGGED,
  VIRTIO_MEM_STATE_UNPLUGGED,
  virtio_mem_req,
  virtio_mem_resp,
} from '../abi.gen.ts';
import type { BlockRange } from './block-map.ts';
import type { MemoryLayout } from './config-space.ts';

/** struct virtio_mem_req ends in padding, which older drivers need not send: what is read of it ends here. */
export const REQUEST_SIZE: number = virtio_mem_req['u.plug.nb_blocks'] + Uint16Array.BYTES_PER_ELEMENT;
/** struct virtio_mem_resp: "All responses are 10 bytes long" (virtio 1.3, 5.15.6). */
export const RESPONSE_SIZE: number = virtio_mem_resp.sizeof;

export type MemoryRequest =
  /** `blocks` are as the driver says; undefined when its address is not on the border of a block. */
  | { readonly kind: 'plug' | 'unplug' | 'state'; readonly blocks: BlockRange | undefined }
  | { readonly kind: 'unplug-all' }
  | { readonly kind: 'unsupported' };

const RANGE_KINDS: ReadonlyMap<number, 'plug' | 'unplug' | 'state'> = new Map([
  [VIRTIO_MEM_REQ_PLUG, 'plug'],
  [VIRTIO_MEM_REQ_UNPLUG, 'unplug'],
  [VIRTIO_MEM_REQ_STATE, 'state'],
]);

/** @param bytes REQUEST_SIZE of them, which the guest cannot change any more */
export function decodeRequest(bytes: Uint8Array, { address, blockSize }: MemoryLayout): MemoryRequest {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint16(virtio_mem_req.type, true);
  if (type === VIRTIO_MEM_REQ_UNPLUG_ALL) return { kind: 'unplug-all' };
  const kind = RANGE_KINDS.get(type);
  if (kind === undefined) return { kind: 'unsupported' };
  const offset = view.getBigUint64(virtio_mem_req['u.plug.addr'], true) - BigInt(address);
  if (offset % BigInt(blockSize) !== 0n) return { kind, blocks: undefined };
  const first = Number(offset / BigInt(blockSize));
  return { kind, blocks: { first, count: view.getUint16(virtio_mem_req['u.plug.nb_blocks'], true) } };
}

export type MemoryResponse =
  | { readonly type: 'ack'; readonly state?: 'plugged' | 'unplugged' | 'mixed' }
  /** More than was requested would be plugged. */
  | { readonly type: 'nack' }
  /** Not now: the driver tries again later. */
  | { readonly type: 'busy' }
  /** The request makes no sense. */
  | { readonly type: 'error' };

const TYPES = {
  ack: VIRTIO_MEM_RESP_ACK,
  nack: VIRTIO_MEM_RESP_NACK,
  busy: VIRTIO_MEM_RESP_BUSY,
  error: VIRTIO_MEM_RESP_ERROR,
} as const;
const STATES = {
  plugged: VIRTIO_MEM_STATE_PLUGGED,
  unplugged: VIRTIO_MEM_STATE_UNPLUGGED,
  mixed: VIRTIO_MEM_STATE_MIXED,
} as const;

export function encodeResponse(response: MemoryResponse): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(virtio_mem_resp.type, TYPES[response.type], true);
  if (response.type === 'ack' && response.state !== undefined) {
    view.setUint16(virtio_mem_resp['u.state.state'], STATES[response.state], true);
  }
  return bytes;
}
