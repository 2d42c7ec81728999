// Commands of the control queue (virtio 1.3, 5.1.6.5), those that are offered here.
import {
  VIRTIO_NET_CTRL_ANNOUNCE,
  VIRTIO_NET_CTRL_ANNOUNCE_ACK,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  virtio_net_ctrl_hdr,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import { hasFeature } from '../features.ts';
import { QueueError } from '../queue-error.ts';
import { isStationAddress, MAC_SIZE } from './config-space.ts';

const ACK_SIZE = 1;
const OFFLOADS_SIZE = 8;

export type ControlCommand =
  | { readonly kind: 'set-mac'; readonly mac: Uint8Array }
  /** Feature bits: those of the unfinished frames that the driver takes from now on. */
  | { readonly kind: 'set-guest-offloads'; readonly offloads: bigint }
  | { readonly kind: 'announced' }
  /** Not a command, not one that was negotiated, or one with parameters that cannot be. */
  | { readonly kind: 'unsupported' };

/** @throws QueueError BUFFER_LAYOUT when there is no room for a command and its answer */
export function parseCommand({ head, readable, writable }: Chain, features: bigint): ControlCommand {
  if (readable.length < virtio_net_ctrl_hdr.sizeof || writable.length < ACK_SIZE) {
    throw new QueueError(
      'BUFFER_LAYOUT',
      `a control command of ${readable.length} bytes with ${writable.length} for the answer`,
      { head },
    );
  }
  const header = readable.copy(0, virtio_net_ctrl_hdr.sizeof);
  const parameter = (size: number): Uint8Array | undefined =>
    readable.length === virtio_net_ctrl_hdr.sizeof + size ? readable.copy(virtio_net_ctrl_hdr.sizeof, size) : undefined;
  const is = (feature: number, commandClass: number, command: number): boolean =>
    hasFeature(features, feature) &&
    header[virtio_net_ctrl_hdr.class] === commandClass &&
    header[virtio_net_ctrl_hdr.cmd] === command;

  if (is(VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET)) {
    const mac = parameter(MAC_SIZE);
    return mac !== undefined && isStationAddress(mac) ? { kind: 'set-mac', mac } : { kind: 'unsupported' };
  }
  if (is(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)) {
    const bytes = parameter(OFFLOADS_SIZE);
    if (bytes === undefined) return { kind: 'unsupported' };
    const offloads = new DataView(bytes.buffer).getBigUint64(0, true);
    // "The driver MUST NOT enable an offload for which the appropriate feature has not been negotiated"
    // (virtio 1.3, 5.1.6.5.6.1).
    return (offloads & ~features) === 0n ? { kind: 'set-guest-offloads', offloads } : { kind: 'unsupported' };
  }
  if (is(VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK)) {
    return { kind: 'announced' };
  }
  return { kind: 'unsupported' };
}
