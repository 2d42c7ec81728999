// Messages about routes (rtnetlink(7), RTM_NEWROUTE). Pure.
import * as abi from './abi.gen.ts';
import { formatIp, formatPrefix, type IpFamily, ipBytes, type Prefix, unspecified } from './ip.ts';
import {
  type Attribute,
  decodeAttributes,
  decodePayload,
  encodeAttributes,
  encodePayload,
  uint32,
  uint32Of,
  viewOf,
} from './message.ts';

/** A route to one place by one interface. */
export interface Route {
  readonly family: IpFamily;
  /** The default route has the prefix length 0. */
  readonly destination: Prefix;
  /** Empty: the destination is on the link. */
  readonly gateway: string;
  readonly interfaceIndex: number;
  /** Preferred source address; may be empty. */
  readonly source: string;
  /** RT_SCOPE_* */
  readonly scope: number;
  readonly metric: number;
  readonly mtu: number;
  readonly onLink: boolean;
}

/** A route of the main table that is there. */
export interface ExistingRoute {
  /** Nothing for a route that a `Route` cannot tell: over several interfaces, to a gateway of the other family, to nowhere. */
  readonly route: Route | undefined;
  /** The kernel made it: for an address, or because a router told. */
  readonly isKernels: boolean;
  /** The message as the kernel sent it: with it the route can be removed. */
  readonly payload: Uint8Array;
}

const KERNELS_PROTOCOLS: readonly number[] = [abi.RTPROT_KERNEL, abi.RTPROT_REDIRECT, abi.RTPROT_RA];

/** What tells whether two routes are the same. */
export function routeKey(route: Route): string {
  const { destination, gateway, interfaceIndex, source, scope, metric, mtu, onLink } = route;
  return [formatPrefix(destination), gateway, interfaceIndex, source, scope, metric, mtu, onLink].join(' ');
}

/** The header that asks for all routes. */
export function encodeRouteQuery(): Uint8Array {
  return new Uint8Array(abi.SIZEOF_rtmsg);
}

export function encodeRoute(route: Route): Uint8Array {
  const header = new Uint8Array(abi.SIZEOF_rtmsg);
  header[abi.OFFSETOF_rtmsg_rtm_family] = route.family === 4 ? abi.AF_INET : abi.AF_INET6;
  header[abi.OFFSETOF_rtmsg_rtm_dst_len] = route.destination.prefixLength;
  header[abi.OFFSETOF_rtmsg_rtm_table] = abi.RT_TABLE_MAIN;
  header[abi.OFFSETOF_rtmsg_rtm_protocol] = abi.RTPROT_STATIC;
  header[abi.OFFSETOF_rtmsg_rtm_scope] = route.scope;
  header[abi.OFFSETOF_rtmsg_rtm_type] = abi.RTN_UNICAST;
  viewOf(header).setUint32(abi.OFFSETOF_rtmsg_rtm_flags, route.onLink ? abi.RTNH_F_ONLINK : 0, true);
  const attributes: Attribute[] = [[abi.RTA_OIF, uint32(route.interfaceIndex)]];
  if (route.destination.prefixLength > 0) attributes.push([abi.RTA_DST, ipBytes(route.destination.address)]);
  if (route.gateway !== '') attributes.push([abi.RTA_GATEWAY, ipBytes(route.gateway)]);
  if (route.source !== '') attributes.push([abi.RTA_PREFSRC, ipBytes(route.source)]);
  if (route.metric !== 0) attributes.push([abi.RTA_PRIORITY, uint32(route.metric)]);
  if (route.mtu !== 0) {
    attributes.push([abi.RTA_METRICS | abi.NLA_F_NESTED, encodeAttributes([[abi.RTAX_MTU, uint32(route.mtu)]])]);
  }
  return encodePayload(header, attributes);
}

/** A route of the main table; nothing for one of another table, or one that the kernel only remembers. */
export function decodeRoute(payload: Uint8Array): ExistingRoute | undefined {
  const { header, attributes } = decodePayload(payload, abi.SIZEOF_rtmsg);
  const ipFamily = header.getUint8(abi.OFFSETOF_rtmsg_rtm_family);
  const flags = header.getUint32(abi.OFFSETOF_rtmsg_rtm_flags, true);
  if (ipFamily !== abi.AF_INET && ipFamily !== abi.AF_INET6) return undefined;
  if (header.getUint8(abi.OFFSETOF_rtmsg_rtm_table) !== abi.RT_TABLE_MAIN) return undefined;
  if ((flags & abi.RTM_F_CLONED) !== 0) return undefined;
  const isKernels = KERNELS_PROTOCOLS.includes(header.getUint8(abi.OFFSETOF_rtmsg_rtm_protocol));
  if (
    header.getUint8(abi.OFFSETOF_rtmsg_rtm_type) !== abi.RTN_UNICAST ||
    attributes.has(abi.RTA_MULTIPATH) ||
    attributes.has(abi.RTA_VIA)
  ) {
    return { route: undefined, isKernels, payload };
  }
  const family = ipFamily === abi.AF_INET ? 4 : 6;
  const textOfIp = (type: number): string => {
    const bytes = attributes.get(type);
    return bytes === undefined ? '' : formatIp(bytes);
  };
  const metrics = decodeAttributes(attributes.get(abi.RTA_METRICS) ?? new Uint8Array());
  const route: Route = {
    family,
    destination: {
      address: textOfIp(abi.RTA_DST) || unspecified(family),
      prefixLength: header.getUint8(abi.OFFSETOF_rtmsg_rtm_dst_len),
    },
    gateway: textOfIp(abi.RTA_GATEWAY),
    interfaceIndex: uint32Of(attributes.get(abi.RTA_OIF)),
    source: textOfIp(abi.RTA_PREFSRC),
    scope: header.getUint8(abi.OFFSETOF_rtmsg_rtm_scope),
    metric: uint32Of(attributes.get(abi.RTA_PRIORITY)),
    mtu: uint32Of(metrics.get(abi.RTAX_MTU)),
    onLink: (flags & abi.RTNH_F_ONLINK) !== 0,
  };
  return { route, isKernels, payload };
}
