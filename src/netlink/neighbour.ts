// Messages about neighbours: which MAC address an IP address has (rtnetlink(7), RTM_NEWNEIGH). Pure.
import * as abi from './abi.gen.ts';
import { familyOf, formatIp, formatMac, ipBytes, macBytes } from './ip.ts';
import { decodePayload, encodePayload, viewOf } from './message.ts';

export interface Neighbour {
  readonly interfaceIndex: number;
  readonly address: string;
  readonly macAddress: string;
  /** NUD_* */
  readonly state: number;
}

/** The header that asks for all neighbours. */
export function encodeNeighbourQuery(): Uint8Array {
  return new Uint8Array(abi.SIZEOF_ndmsg);
}

/** A neighbour to be made, changed or removed. */
export function encodeNeighbour(neighbour: Neighbour): Uint8Array {
  const header = new Uint8Array(abi.SIZEOF_ndmsg);
  const view = viewOf(header);
  header[abi.OFFSETOF_ndmsg_ndm_family] = familyOf(neighbour.address) === 4 ? abi.AF_INET : abi.AF_INET6;
  view.setInt32(abi.OFFSETOF_ndmsg_ndm_ifindex, neighbour.interfaceIndex, true);
  view.setUint16(abi.OFFSETOF_ndmsg_ndm_state, neighbour.state, true);
  return encodePayload(header, [
    [abi.NDA_DST, ipBytes(neighbour.address)],
    [abi.NDA_LLADDR, macBytes(neighbour.macAddress)],
  ]);
}

/** A neighbour of IP with a MAC address; nothing for others. */
export function decodeNeighbour(payload: Uint8Array): Neighbour | undefined {
  const { header, attributes } = decodePayload(payload, abi.SIZEOF_ndmsg);
  const family = header.getUint8(abi.OFFSETOF_ndmsg_ndm_family);
  const [address, macAddress] = [attributes.get(abi.NDA_DST), attributes.get(abi.NDA_LLADDR)];
  if (family !== abi.AF_INET && family !== abi.AF_INET6) return undefined;
  if (address === undefined || macAddress === undefined) return undefined;
  return {
    interfaceIndex: header.getInt32(abi.OFFSETOF_ndmsg_ndm_ifindex, true),
    address: formatIp(address),
    macAddress: formatMac(macAddress),
    state: header.getUint16(abi.OFFSETOF_ndmsg_ndm_state, true),
  };
}
