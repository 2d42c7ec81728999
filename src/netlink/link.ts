// Messages about network interfaces (rtnetlink(7), RTM_NEWLINK). Pure.
import * as abi from './abi.gen.ts';
import { formatMac, macBytes } from './ip.ts';
import { cString, decodePayload, encodePayload, textOf, uint32, uint32Of, viewOf } from './message.ts';

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Empty where the interface has none. */
  readonly macAddress: string;
  /** The device's own, which stays when another is set; empty where it has none. */
  readonly permanentMacAddress: string;
  readonly mtu: number;
  /** IFF_* */
  readonly flags: number;
  /** ARPHRD_* */
  readonly hardwareType: number;
}

/** What is to be changed of an interface. */
export interface LinkChange {
  readonly name?: string;
  readonly mtu?: number;
  readonly macAddress?: string;
  /** Descriptor of the network namespace that it is moved to. */
  readonly namespaceFd?: number;
  /** IFF_*: the flags that `mask` names get the values that they have in `flags`. */
  readonly flags?: { readonly mask: number; readonly flags: number };
}

/** The header that asks for all interfaces. */
export function encodeLinkQuery(): Uint8Array {
  return new Uint8Array(abi.SIZEOF_ifinfomsg);
}

export function encodeLinkChange(index: number, change: LinkChange): Uint8Array {
  const header = new Uint8Array(abi.SIZEOF_ifinfomsg);
  const view = viewOf(header);
  view.setInt32(abi.OFFSETOF_ifinfomsg_ifi_index, index, true);
  view.setUint32(abi.OFFSETOF_ifinfomsg_ifi_flags, change.flags?.flags ?? 0, true);
  view.setUint32(abi.OFFSETOF_ifinfomsg_ifi_change, change.flags?.mask ?? 0, true);
  return encodePayload(header, [
    ...(change.name === undefined ? [] : [[abi.IFLA_IFNAME, cString(change.name)] as const]),
    ...(change.mtu === undefined ? [] : [[abi.IFLA_MTU, uint32(change.mtu)] as const]),
    ...(change.macAddress === undefined ? [] : [[abi.IFLA_ADDRESS, macBytes(change.macAddress)] as const]),
    ...(change.namespaceFd === undefined ? [] : [[abi.IFLA_NET_NS_FD, uint32(change.namespaceFd)] as const]),
  ]);
}

export function decodeLink(payload: Uint8Array): Link {
  const { header, attributes } = decodePayload(payload, abi.SIZEOF_ifinfomsg);
  return {
    index: header.getInt32(abi.OFFSETOF_ifinfomsg_ifi_index, true),
    name: textOf(attributes.get(abi.IFLA_IFNAME)),
    macAddress: formatMac(attributes.get(abi.IFLA_ADDRESS) ?? new Uint8Array()),
    permanentMacAddress: formatMac(attributes.get(abi.IFLA_PERM_ADDRESS) ?? new Uint8Array()),
    mtu: uint32Of(attributes.get(abi.IFLA_MTU)),
    flags: header.getUint32(abi.OFFSETOF_ifinfomsg_ifi_flags, true),
    hardwareType: header.getUint16(abi.OFFSETOF_ifinfomsg_ifi_type, true),
  };
}
