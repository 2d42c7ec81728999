// Messages about addresses of interfaces (rtnetlink(7), RTM_NEWADDR). Pure.
import * as abi from './abi.gen.ts';
import { broadcastOf, familyOf, formatIp, ipBytes, type Prefix } from './ip.ts';
import { type Attribute, decodePayload, encodePayload, viewOf } from './message.ts';

export interface InterfaceAddress extends Prefix {
  readonly interfaceIndex: number;
  /** The kernel made it by itself: of the loopback interface, link-local, or from a router's announcement. */
  readonly isKernels: boolean;
  /** The message as the kernel sent it: with it the address can be removed. */
  readonly payload: Uint8Array;
}

/** The kernel gives it to the loopback interface by itself, and does not say so as of others (inetdev_event in net/ipv4/devinet.c). */
const LOOPBACK_ADDRESS = '127.0.0.1';
/** Of the loopback network, only this machine knows them (RFC 1122, 3.2.1.3 (g)). */
const LOOPBACK_NETWORK = 127;

/** The header that asks for all addresses. */
export function encodeAddressQuery(): Uint8Array {
  return new Uint8Array(abi.SIZEOF_ifaddrmsg);
}

/** A new address. One of IPv6 is used at once, without a search for duplicates: the host has given it to this machine alone. */
export function encodeAddress(interfaceIndex: number, prefix: Prefix): Uint8Array {
  const isIpv4 = familyOf(prefix.address) === 4;
  const bytes = ipBytes(prefix.address);
  const header = new Uint8Array(abi.SIZEOF_ifaddrmsg);
  header[abi.OFFSETOF_ifaddrmsg_ifa_family] = isIpv4 ? abi.AF_INET : abi.AF_INET6;
  header[abi.OFFSETOF_ifaddrmsg_ifa_prefixlen] = prefix.prefixLength;
  header[abi.OFFSETOF_ifaddrmsg_ifa_flags] = isIpv4 ? 0 : abi.IFA_F_NODAD;
  header[abi.OFFSETOF_ifaddrmsg_ifa_scope] =
    isIpv4 && bytes[0] === LOOPBACK_NETWORK ? abi.RT_SCOPE_HOST : abi.RT_SCOPE_UNIVERSE;
  viewOf(header).setUint32(abi.OFFSETOF_ifaddrmsg_ifa_index, interfaceIndex, true);
  const attributes: Attribute[] = [
    [abi.IFA_LOCAL, bytes],
    [abi.IFA_ADDRESS, bytes],
  ];
  const broadcast = broadcastOf(prefix);
  if (broadcast !== undefined) attributes.push([abi.IFA_BROADCAST, ipBytes(broadcast)]);
  return encodePayload(header, attributes);
}

/** An address that is there; nothing for a family other than IP. */
export function decodeAddress(payload: Uint8Array): InterfaceAddress | undefined {
  const { header, attributes } = decodePayload(payload, abi.SIZEOF_ifaddrmsg);
  const family = header.getUint8(abi.OFFSETOF_ifaddrmsg_ifa_family);
  // Of a point-to-point connection IFA_ADDRESS is the other end (include/uapi/linux/if_addr.h).
  const bytes = attributes.get(abi.IFA_LOCAL) ?? attributes.get(abi.IFA_ADDRESS);
  if (bytes === undefined || (family !== abi.AF_INET && family !== abi.AF_INET6)) return undefined;
  const address = formatIp(bytes);
  const origin = attributes.get(abi.IFA_PROTO)?.[0] ?? abi.IFAPROT_UNSPEC;
  return {
    interfaceIndex: header.getUint32(abi.OFFSETOF_ifaddrmsg_ifa_index, true),
    address,
    prefixLength: header.getUint8(abi.OFFSETOF_ifaddrmsg_ifa_prefixlen),
    isKernels: origin !== abi.IFAPROT_UNSPEC || address === LOOPBACK_ADDRESS,
    payload,
  };
}
