// Messages of traffic control (tc(8)): what comes in at one interface goes out at another. Pure.
import { DNS_PORT } from '../protocol/dns-message.ts';
import * as abi from './abi.gen.ts';
import { cString, encodeAttributes, encodePayload, viewOf } from './message.ts';

/** Order of filters, all before those that others add to the same interface. Each has one protocol alone. */
const PRIORITY_ARP = 1;
const PRIORITY_IP = 2;
const PRIORITY_IPV6 = 3;
const PRIORITY_ALL = 4;
/** Actions of a filter are numbered from 1 on. */
const FIRST_ACTION = 1;

function header(interfaceIndex: number, parent: number, { handle = 0, info = 0 }): Uint8Array {
  const bytes = new Uint8Array(abi.SIZEOF_tcmsg);
  const view = viewOf(bytes);
  view.setInt32(abi.OFFSETOF_tcmsg_tcm_ifindex, interfaceIndex, true);
  view.setUint32(abi.OFFSETOF_tcmsg_tcm_handle, handle, true);
  view.setUint32(abi.OFFSETOF_tcmsg_tcm_parent, parent, true);
  view.setUint32(abi.OFFSETOF_tcmsg_tcm_info, info, true);
  return bytes;
}

/** The queueing discipline whose filters see what comes in at an interface (sch_ingress). */
export function encodeIngress(interfaceIndex: number): Uint8Array {
  return encodePayload(header(interfaceIndex, abi.TC_H_INGRESS, { handle: abi.INGRESS_HANDLE }), [
    [abi.TCA_KIND, cString('ingress')],
  ]);
}

/** Priority and protocol of a filter; the protocol is in the order of the network. */
function infoOf(priority: number, protocol: number): number {
  return priority * 2 ** 16 + (((protocol & 0xff) << 8) | (protocol >> 8));
}

/** An action of act_mirred. @param verdict TC_ACT_*: what becomes of the frame itself */
function encodeMirred(to: number, kind: number, verdict: number): Uint8Array {
  const mirred = new Uint8Array(abi.SIZEOF_tc_mirred);
  const view = viewOf(mirred);
  view.setInt32(abi.OFFSETOF_tc_mirred_action, verdict, true);
  view.setInt32(abi.OFFSETOF_tc_mirred_eaction, kind, true);
  view.setUint32(abi.OFFSETOF_tc_mirred_ifindex, to, true);
  const action = encodeAttributes([
    [abi.TCA_ACT_KIND, cString('mirred')],
    [abi.TCA_ACT_OPTIONS | abi.NLA_F_NESTED, encodeAttributes([[abi.TCA_MIRRED_PARMS, mirred]])],
  ]);
  return encodeAttributes([[FIRST_ACTION, action]]);
}

/** A filter that sends on what comes in at `from`, all of it, by `to`: nothing else sees it (cls_matchall, act_mirred). */
export function encodeRedirect(from: number, to: number): Uint8Array {
  const actions = encodeMirred(to, abi.TCA_EGRESS_REDIR, abi.TC_ACT_STOLEN);
  return encodePayload(header(from, abi.INGRESS_FILTERS, { info: infoOf(PRIORITY_ALL, abi.ETH_P_ALL) }), [
    [abi.TCA_KIND, cString('matchall')],
    [abi.TCA_OPTIONS, encodeAttributes([[abi.TCA_MATCHALL_ACT, actions]])],
  ]);
}

/**
 * From which ports a resolver in the container's network namespace asks others: beyond those that Linux gives to sockets by itself
 * (32768 to 60999), so that the guest has hardly any of its own there. One mask has them all.
 */
export const RESOLVER_PORTS = { first: 0xfc00, last: 0xffff } as const;

/** A word of the network's header, counted in bytes from its beginning: what is left of it by a mask. */
type Word = readonly [offset: number, mask: number, value: number];

/** From port 53 to one of the resolver's, behind a header of so many bytes. */
const portsAt = (offset: number): Word => [
  offset,
  0xffff_0000 + RESOLVER_PORTS.first,
  DNS_PORT * 2 ** 16 + RESOLVER_PORTS.first,
];
/** RFC 791, 3.1: no options; not the later part of a datagram; protocol. */
const ipWords = (protocol: number): Word[] => [
  [0, 0x0f00_0000, 0x0500_0000],
  [4, 0x0000_1fff, 0],
  [8, 0x00ff_0000, protocol << 16],
];
/** RFC 8200, 3: next header. */
const ipv6Words = (protocol: number): Word[] => [[4, 0x0000_ff00, protocol << 8]];
/** RFC 4861, 4.4. */
const NEIGHBOUR_ADVERTISEMENT = 136;

interface AnswerFilter {
  readonly priority: number;
  readonly protocol: number;
  readonly words: readonly Word[];
  /** The guest has it as well: it may be its own. Of TCP each would end the other's connections. */
  readonly isShared: boolean;
}

const ANSWER_FILTERS: readonly AnswerFilter[] = [
  // RFC 826: the operation.
  { priority: PRIORITY_ARP, protocol: abi.ETH_P_ARP, words: [[4, 0x0000_ffff, abi.ARPOP_REPLY]], isShared: true },
  {
    priority: PRIORITY_IP,
    protocol: abi.ETH_P_IP,
    words: [...ipWords(abi.IPPROTO_UDP), portsAt(20)],
    isShared: true,
  },
  {
    priority: PRIORITY_IP,
    protocol: abi.ETH_P_IP,
    words: [...ipWords(abi.IPPROTO_TCP), portsAt(20)],
    isShared: false,
  },
  {
    priority: PRIORITY_IPV6,
    protocol: abi.ETH_P_IPV6,
    words: [...ipv6Words(abi.IPPROTO_UDP), portsAt(40)],
    isShared: true,
  },
  {
    priority: PRIORITY_IPV6,
    protocol: abi.ETH_P_IPV6,
    words: [...ipv6Words(abi.IPPROTO_TCP), portsAt(40)],
    isShared: false,
  },
  {
    priority: PRIORITY_IPV6,
    protocol: abi.ETH_P_IPV6,
    words: [...ipv6Words(abi.IPPROTO_ICMPV6), [40, 0xff00_0000, NEIGHBOUR_ADVERTISEMENT * 2 ** 24]],
    isShared: true,
  },
];

/** struct tc_u32_sel with its keys; masks and values are in the order of the network. */
function encodeSelector(words: readonly Word[]): Uint8Array {
  const bytes = new Uint8Array(abi.SIZEOF_tc_u32_sel + words.length * abi.SIZEOF_tc_u32_key);
  const view = viewOf(bytes);
  view.setUint8(abi.OFFSETOF_tc_u32_sel_flags, abi.TC_U32_TERMINAL);
  view.setUint8(abi.OFFSETOF_tc_u32_sel_nkeys, words.length);
  for (const [index, [offset, mask, value]] of words.entries()) {
    const at = abi.SIZEOF_tc_u32_sel + index * abi.SIZEOF_tc_u32_key;
    view.setUint32(at + abi.OFFSETOF_tc_u32_key_mask, mask);
    view.setUint32(at + abi.OFFSETOF_tc_u32_key_val, value);
    view.setInt32(at + abi.OFFSETOF_tc_u32_key_off, offset, true);
  }
  return bytes;
}

/**
 * Filters in front of `encodeRedirect`'s that let the host's own network at `from` have what answers a resolver there: answers
 * from port 53 to its ports, and where its neighbours are (cls_u32).
 */
export function encodeAnswerFilters(from: number, to: number): Uint8Array[] {
  return ANSWER_FILTERS.map(({ priority, protocol, words, isShared }) => {
    const actions = encodeMirred(to, abi.TCA_EGRESS_MIRROR, abi.TC_ACT_OK);
    return encodePayload(header(from, abi.INGRESS_FILTERS, { info: infoOf(priority, protocol) }), [
      [abi.TCA_KIND, cString('u32')],
      [
        abi.TCA_OPTIONS,
        encodeAttributes([
          ...(isShared ? ([[abi.TCA_U32_ACT, actions]] as const) : []),
          [abi.TCA_U32_SEL, encodeSelector(words)],
        ]),
      ],
    ]);
  });
}
