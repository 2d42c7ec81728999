// The ioctls of tap devices (linux/if_tun.h) and of network interfaces (netdevice(7)).
import type { Fd } from '../lib/brand.ts';
import {
  AF_UNIX,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN_EXCL,
  IFF_UP,
  IFF_VNET_HDR,
  IFNAMSIZ,
  ifreq,
  SIOCGIFFLAGS,
  SIOCSIFFLAGS,
  SIOCSIFMTU,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNGETIFF,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { ioctl } from './ioctl.unsafe.ts';
import { libcFunction } from './koffi.unsafe.ts';
import { SystemError } from './system-error.ts';

const socket = libcFunction<[number, number, number], number>('int socket(int domain, int type, int protocol)');

/** Bytes of an interface's name, its final zero not among them. */
export const MAX_INTERFACE_NAME = IFNAMSIZ - 1;
/** One tap of one queue whose frames have a struct virtio_net_hdr in front and nothing else. */
const TAP_FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

/** Frames that may be given to the reader of a tap unfinished. */
export interface TapOffloads {
  readonly checksum: boolean;
  readonly tso4: boolean;
  readonly tso6: boolean;
  readonly ecn: boolean;
  readonly uso: boolean;
}

function interfaceRequest(name = ''): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(new ArrayBuffer(ifreq.sizeof));
  bytes.set(new TextEncoder().encode(name).subarray(0, MAX_INTERFACE_NAME), ifreq.ifr_name);
  return { bytes, view: new DataView(bytes.buffer) };
}

function setInterface(fd: Fd, name: string, flags: number): void {
  const { bytes, view } = interfaceRequest(name);
  view.setUint16(ifreq.ifr_flags, flags, true);
  ioctl(fd, TUNSETIFF, 'TUNSETIFF', bytes);
}

/**
 * Makes an open /dev/net/tun a new tap with this name, which goes with the descriptor.
 * @returns whether it was made; not where there is an interface of this name
 * @throws SystemError EPERM
 */
export function createTap(fd: Fd, name: string): boolean {
  try {
    setInterface(fd, name, TAP_FLAGS | IFF_TUN_EXCL);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EBUSY') return false;
    throw error;
  }
}

/**
 * Makes an open /dev/net/tun the tap with this name that is there.
 * @throws SystemError EBUSY, EPERM, EINVAL when it is no tap of one queue
 */
export function attachTap(fd: Fd, name: string): void {
  setInterface(fd, name, TAP_FLAGS);
}

/** What a descriptor is. @throws SystemError ENOTTY or EBADFD when it is no tap that is attached */
export function describeTap(fd: Fd): { readonly name: string; readonly isUsable: boolean } {
  const { bytes, view } = interfaceRequest();
  ioctl(fd, TUNGETIFF, 'TUNGETIFF', bytes);
  const end = bytes.indexOf(0, ifreq.ifr_name);
  return {
    name: new TextDecoder().decode(bytes.subarray(ifreq.ifr_name, end)),
    isUsable: (view.getUint16(ifreq.ifr_flags, true) & TAP_FLAGS) === TAP_FLAGS,
  };
}

/** Bytes of the header in front of each frame. @throws SystemError */
export function setTapHeaderSize(fd: Fd, size: number): void {
  ioctl(fd, TUNSETVNETHDRSZ, 'TUNSETVNETHDRSZ', new Uint8Array(Int32Array.of(size).buffer));
}

/** @throws SystemError EINVAL for what this kernel does not know */
export function setTapOffloads(fd: Fd, { checksum, tso4, tso6, ecn, uso }: TapOffloads): void {
  const bits =
    (checksum ? TUN_F_CSUM : 0) |
    (tso4 ? TUN_F_TSO4 : 0) |
    (tso6 ? TUN_F_TSO6 : 0) |
    (ecn ? TUN_F_TSO_ECN : 0) |
    (uso ? TUN_F_USO4 | TUN_F_USO6 : 0);
  ioctl(fd, TUNSETOFFLOAD, 'TUNSETOFFLOAD', bits);
}

/** Any socket takes the requests for network interfaces; they are about those of the caller's network namespace. */
function openInterfaces(name: string): OwnedFd {
  return new OwnedFd(check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', name));
}

/** Sets an interface's MTU, if one is given, and takes it up. @throws SystemError */
export function bringUp(name: string, mtu?: number): void {
  using interfaces = openInterfaces(name);
  const { bytes, view } = interfaceRequest(name);
  if (mtu !== undefined) {
    view.setInt32(ifreq.ifr_mtu, mtu, true);
    ioctl(interfaces.fd, SIOCSIFMTU, 'SIOCSIFMTU', bytes);
  }
  ioctl(interfaces.fd, SIOCGIFFLAGS, 'SIOCGIFFLAGS', bytes);
  view.setUint16(ifreq.ifr_flags, view.getUint16(ifreq.ifr_flags, true) | IFF_UP, true);
  ioctl(interfaces.fd, SIOCSIFFLAGS, 'SIOCSIFFLAGS', bytes);
}
