// The ioctls of the kernel's vhost devices (linux/vhost.h): they take the addresses of guest memory in this process.
import type { Fd } from '../lib/brand.ts';
import {
  VHOST_GET_FEATURES,
  VHOST_GET_VRING_BASE,
  VHOST_NET_SET_BACKEND,
  VHOST_SET_FEATURES,
  VHOST_SET_MEM_TABLE,
  VHOST_SET_OWNER,
  VHOST_SET_VRING_ADDR,
  VHOST_SET_VRING_BASE,
  VHOST_SET_VRING_CALL,
  VHOST_SET_VRING_ERR,
  VHOST_SET_VRING_KICK,
  VHOST_SET_VRING_NUM,
  VHOST_VSOCK_SET_GUEST_CID,
  VHOST_VSOCK_SET_RUNNING,
  vhost_memory,
  vhost_memory_region,
  vhost_vring_addr,
  vhost_vring_file,
  vhost_vring_state,
} from './abi.gen.ts';
import { ioctl } from './ioctl.unsafe.ts';

/** A region of guest memory as this process has it mapped; shared or private makes no difference to the kernel. */
export interface MappedMemory {
  readonly guestAddress: number;
  readonly size: number;
  readonly hostAddress: bigint;
}

/** A ring by the addresses of its parts in this process. */
export interface MappedRing {
  readonly descriptorTable: bigint;
  readonly availableRing: bigint;
  readonly usedRing: bigint;
}

const RING_FILES = {
  kick: [VHOST_SET_VRING_KICK, 'VHOST_SET_VRING_KICK'],
  call: [VHOST_SET_VRING_CALL, 'VHOST_SET_VRING_CALL'],
  error: [VHOST_SET_VRING_ERR, 'VHOST_SET_VRING_ERR'],
} as const;

/** No back end: the queue is not served. */
const NO_BACKEND = -1;

function u64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}

function ringState(index: number, value: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const view = new DataView(new ArrayBuffer(vhost_vring_state.sizeof));
  view.setUint32(vhost_vring_state.index, index, true);
  view.setUint32(vhost_vring_state.num, value, true);
  return { bytes: new Uint8Array(view.buffer), view };
}

function ringFile(index: number, fd: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(vhost_vring_file.sizeof));
  view.setUint32(vhost_vring_file.index, index, true);
  view.setInt32(vhost_vring_file.fd, fd, true);
  return new Uint8Array(view.buffer);
}

/** Makes this process the one whose memory the device works in. @throws SystemError EBUSY when it has one */
export function setVhostOwner(fd: Fd): void {
  ioctl(fd, VHOST_SET_OWNER, 'VHOST_SET_OWNER');
}

/** Feature bits of virtio that the device knows. @throws SystemError */
export function getVhostFeatures(fd: Fd): bigint {
  const features = new BigUint64Array(1);
  ioctl(fd, VHOST_GET_FEATURES, 'VHOST_GET_FEATURES', new Uint8Array(features.buffer));
  return features[0] ?? 0n;
}

/** @throws SystemError EOPNOTSUPP for a bit that the device does not know */
export function setVhostFeatures(fd: Fd, features: bigint): void {
  ioctl(fd, VHOST_SET_FEATURES, 'VHOST_SET_FEATURES', u64(features));
}

/** All the memory in which rings and buffers can be. @throws SystemError */
export function setVhostMemory(fd: Fd, regions: readonly MappedMemory[]): void {
  const view = new DataView(new ArrayBuffer(vhost_memory.regions + vhost_memory_region.sizeof * regions.length));
  view.setUint32(vhost_memory.nregions, regions.length, true);
  for (const [index, { guestAddress, size, hostAddress }] of regions.entries()) {
    const at = vhost_memory.regions + vhost_memory_region.sizeof * index;
    view.setBigUint64(at + vhost_memory_region.guest_phys_addr, BigInt(guestAddress), true);
    view.setBigUint64(at + vhost_memory_region.memory_size, BigInt(size), true);
    view.setBigUint64(at + vhost_memory_region.userspace_addr, hostAddress, true);
  }
  ioctl(fd, VHOST_SET_MEM_TABLE, 'VHOST_SET_MEM_TABLE', new Uint8Array(view.buffer));
}

/** Sets a ring up that is not served. @param base the available entry to take next @throws SystemError */
export function setVhostRing(fd: Fd, index: number, size: number, base: number, ring: MappedRing): void {
  ioctl(fd, VHOST_SET_VRING_NUM, 'VHOST_SET_VRING_NUM', ringState(index, size).bytes);
  ioctl(fd, VHOST_SET_VRING_BASE, 'VHOST_SET_VRING_BASE', ringState(index, base).bytes);
  const view = new DataView(new ArrayBuffer(vhost_vring_addr.sizeof));
  view.setUint32(vhost_vring_addr.index, index, true);
  view.setBigUint64(vhost_vring_addr.desc_user_addr, ring.descriptorTable, true);
  view.setBigUint64(vhost_vring_addr.avail_user_addr, ring.availableRing, true);
  view.setBigUint64(vhost_vring_addr.used_user_addr, ring.usedRing, true);
  ioctl(fd, VHOST_SET_VRING_ADDR, 'VHOST_SET_VRING_ADDR', new Uint8Array(view.buffer));
}

/** The eventfd that the driver's bell signals, the one that interrupts it, or the one for a ring that makes no sense. */
export function setVhostRingFd(fd: Fd, index: number, purpose: keyof typeof RING_FILES, eventFd: Fd): void {
  const [request, name] = RING_FILES[purpose];
  ioctl(fd, request, name, ringFile(index, eventFd));
}

/** The available entry that the device takes next from a ring. @throws SystemError */
export function getVhostRingBase(fd: Fd, index: number): number {
  const { bytes, view } = ringState(index, 0);
  ioctl(fd, VHOST_GET_VRING_BASE, 'VHOST_GET_VRING_BASE', bytes);
  return view.getUint32(vhost_vring_state.num, true) & 0xffff;
}

/**
 * Lets a queue of vhost-net be served with the frames of this tap, or by nobody; returns when nothing is in flight.
 * @throws SystemError
 */
export function setVhostNetBackend(fd: Fd, index: number, tap: Fd | undefined): void {
  ioctl(fd, VHOST_NET_SET_BACKEND, 'VHOST_NET_SET_BACKEND', ringFile(index, tap ?? NO_BACKEND));
}

/** @throws SystemError EADDRINUSE when another guest of this host has this address */
export function setVhostVsockCid(fd: Fd, cid: number): void {
  ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, 'VHOST_VSOCK_SET_GUEST_CID', u64(BigInt(cid)));
}

/** Starts or stops to serve both queues of vhost-vsock. @throws SystemError */
export function setVhostVsockRunning(fd: Fd, isRunning: boolean): void {
  const value = new Uint8Array(new Int32Array([isRunning ? 1 : 0]).buffer);
  ioctl(fd, VHOST_VSOCK_SET_RUNNING, 'VHOST_VSOCK_SET_RUNNING', value);
}
