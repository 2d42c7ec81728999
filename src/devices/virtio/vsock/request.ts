// The packets of the rx and tx queues (virtio 1.3, 5.10.6): bytes in, plain data out, and back.
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  virtio_vsock_hdr,
} from '../abi.gen.ts';

/** Bytes of struct virtio_vsock_hdr. */
export const HEADER_SIZE: number = virtio_vsock_hdr.sizeof;

/** struct virtio_vsock_hdr. Ports, counts and lengths are u32. */
export interface PacketHeader {
  readonly sourceCid: bigint;
  readonly destinationCid: bigint;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bytes of payload behind the header. */
  readonly length: number;
  /** VIRTIO_VSOCK_TYPE_* */
  readonly type: number;
  /** VIRTIO_VSOCK_OP_* */
  readonly operation: number;
  /** VIRTIO_VSOCK_SHUTDOWN_* of a SHUTDOWN. */
  readonly flags: number;
  /** Receive buffer of the sender's socket, bytes. */
  readonly bufferSize: number;
  /** Bytes that the sender's socket has received and passed on: free-running, modulo 2^32. */
  readonly forwardedCount: number;
}

/** What a packet asks for. */
export type PacketKind =
  | 'request'
  | 'response'
  | 'reset'
  | 'shutdown'
  | 'data'
  | 'credit-update'
  | 'credit-request'
  | 'unsupported';

const KINDS: ReadonlyMap<number, PacketKind> = new Map([
  [VIRTIO_VSOCK_OP_REQUEST, 'request'],
  [VIRTIO_VSOCK_OP_RESPONSE, 'response'],
  [VIRTIO_VSOCK_OP_RST, 'reset'],
  [VIRTIO_VSOCK_OP_SHUTDOWN, 'shutdown'],
  [VIRTIO_VSOCK_OP_RW, 'data'],
  [VIRTIO_VSOCK_OP_CREDIT_UPDATE, 'credit-update'],
  [VIRTIO_VSOCK_OP_CREDIT_REQUEST, 'credit-request'],
]);

export function packetKind(operation: number): PacketKind {
  return KINDS.get(operation) ?? 'unsupported';
}

/** @param bytes at least HEADER_SIZE bytes that the guest cannot change any more */
export function decodeHeader(bytes: Uint8Array): PacketHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  return {
    sourceCid: view.getBigUint64(virtio_vsock_hdr.src_cid, true),
    destinationCid: view.getBigUint64(virtio_vsock_hdr.dst_cid, true),
    sourcePort: view.getUint32(virtio_vsock_hdr.src_port, true),
    destinationPort: view.getUint32(virtio_vsock_hdr.dst_port, true),
    length: view.getUint32(virtio_vsock_hdr.len, true),
    type: view.getUint16(virtio_vsock_hdr.type, true),
    operation: view.getUint16(virtio_vsock_hdr.op, true),
    flags: view.getUint32(virtio_vsock_hdr.flags, true),
    bufferSize: view.getUint32(virtio_vsock_hdr.buf_alloc, true),
    forwardedCount: view.getUint32(virtio_vsock_hdr.fwd_cnt, true),
  };
}

export function encodeHeader(header: PacketHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(virtio_vsock_hdr.src_cid, header.sourceCid, true);
  view.setBigUint64(virtio_vsock_hdr.dst_cid, header.destinationCid, true);
  view.setUint32(virtio_vsock_hdr.src_port, header.sourcePort, true);
  view.setUint32(virtio_vsock_hdr.dst_port, header.destinationPort, true);
  view.setUint32(virtio_vsock_hdr.len, header.length, true);
  view.setUint16(virtio_vsock_hdr.type, header.type, true);
  view.setUint16(virtio_vsock_hdr.op, header.operation, true);
  view.setUint32(virtio_vsock_hdr.flags, header.flags, true);
  view.setUint32(virtio_vsock_hdr.buf_alloc, header.bufferSize, true);
  view.setUint32(virtio_vsock_hdr.fwd_cnt, header.forwardedCount, true);
  return bytes;
}
