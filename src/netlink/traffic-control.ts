// Messages of traffic control (tc(8)): what comes in at one interface goes out at another. Pure.
import * as abi from './abi.gen.ts';
import { cString, encodeAttributes, encodePayload, viewOf } from './message.ts';

/** Before the filters that others add to the same interface. */
const PRIORITY = 1;
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

/** A filter that sends on what comes in at `from`, all of it, by `to`: nothing else sees it (cls_matchall, act_mirred). */
export function encodeRedirect(from: number, to: number): Uint8Array {
  const mirred = new Uint8Array(abi.SIZEOF_tc_mirred);
  const view = viewOf(mirred);
  view.setInt32(abi.OFFSETOF_tc_mirred_action, abi.TC_ACT_STOLEN, true);
  view.setInt32(abi.OFFSETOF_tc_mirred_eaction, abi.TCA_EGRESS_REDIR, true);
  view.setUint32(abi.OFFSETOF_tc_mirred_ifindex, to, true);
  const action = encodeAttributes([
    [abi.TCA_ACT_KIND, cString('mirred')],
    [abi.TCA_ACT_OPTIONS | abi.NLA_F_NESTED, encodeAttributes([[abi.TCA_MIRRED_PARMS, mirred]])],
  ]);
  const options = encodeAttributes([[abi.TCA_MATCHALL_ACT, encodeAttributes([[FIRST_ACTION, action]])]]);
  // The protocol is in the order of the network.
  const info = PRIORITY * 2 ** 16 + (abi.ETH_P_ALL << 8);
  return encodePayload(header(from, abi.INGRESS_FILTERS, { info }), [
    [abi.TCA_KIND, cString('matchall')],
    [abi.TCA_OPTIONS, options],
  ]);
}
