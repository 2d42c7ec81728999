// struct virtio_net_hdr_v1 (virtio 1.3, 5.1.6), which is in front of every frame. What a driver wrote is copied, checked
// against what was negotiated, and only the copy goes on: the network's side need not trust the guest.
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  virtio_net_hdr_v1,
} from '../abi.gen.ts';
import type { ScatterList } from '../chain.ts';
import type { Offloads } from './offloads.ts';

/** VIRTIO_F_VERSION_1 gives the header `num_buffers` in any case (virtio 1.3, 5.1.6.1). */
export const HEADER_SIZE = virtio_net_hdr_v1.sizeof;
/** Destination, source and type (IEEE 802.3). */
export const ETHERNET_HEADER_SIZE = 14;
const VLAN_TAG_SIZE = 4;
/** The largest IP packet with all that Ethernet puts before it. */
export const MAX_FRAME_SIZE = 65535 + ETHERNET_HEADER_SIZE + VLAN_TAG_SIZE;
/** Bytes of a checksum in a frame. */
const CHECKSUM_SIZE = 2;

/** The longest frame of a link with this MTU, when none of them are unfinished. */
export function frameSizeOf(mtu: number): number {
  return mtu + ETHERNET_HEADER_SIZE + VLAN_TAG_SIZE;
}

/** The header of one frame at a time: memory of ours, used again for each. */
export class PacketHeader {
  readonly bytes = new Uint8Array(new ArrayBuffer(HEADER_SIZE));
  readonly #view = new DataView(this.bytes.buffer);

  /**
   * Copies the header from the start of a buffer, and leaves what lies behind it in `frame`. The buffer has at least
   * HEADER_SIZE bytes.
   */
  takeFrom({ segments }: ScatterList, frame: Uint8Array[]): void {
    frame.length = 0;
    let done = 0;
    for (const segment of segments) {
      let at = 0;
      while (done < HEADER_SIZE && at < segment.length) this.bytes[done++] = segment[at++] ?? 0;
      if (at === 0) frame.push(segment);
      else if (at < segment.length) frame.push(segment.subarray(at));
    }
  }

  /**
   * Whether the network may get a frame with this header (virtio 1.3, 5.1.6.2). Fields that have no meaning without a
   * feature or flag, and those that only a device sets, are cleared: "the device MUST ignore" them.
   * @param frameSize bytes of the frame behind it
   * @param accepted what the driver was promised that its frames may lack
   */
  makeValid(frameSize: number, accepted: Offloads): boolean {
    const view = this.#view;
    const needsChecksum =
      accepted.checksum && (view.getUint8(virtio_net_hdr_v1.flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
    view.setUint8(virtio_net_hdr_v1.flags, needsChecksum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
    view.setUint16(virtio_net_hdr_v1.num_buffers, 0, true);
    if (!needsChecksum) {
      view.setUint16(virtio_net_hdr_v1.csum_start, 0, true);
      view.setUint16(virtio_net_hdr_v1.csum_offset, 0, true);
    } else {
      const start = view.getUint16(virtio_net_hdr_v1.csum_start, true);
      const offset = view.getUint16(virtio_net_hdr_v1.csum_offset, true);
      if (start < ETHERNET_HEADER_SIZE || start + offset + CHECKSUM_SIZE > frameSize) return false;
    }
    const type = view.getUint8(virtio_net_hdr_v1.gso_type);
    if (type === VIRTIO_NET_HDR_GSO_NONE) {
      view.setUint16(virtio_net_hdr_v1.gso_size, 0, true);
      view.setUint16(virtio_net_hdr_v1.hdr_len, 0, true);
      return true;
    }
    // "If one of the VIRTIO_NET_F_HOST_TSO4, TSO6, USO or UFO options have been negotiated [...] the driver MUST also set
    // the VIRTIO_NET_HDR_F_NEEDS_CSUM bit" of such a frame (virtio 1.3, 5.1.6.2.1).
    return (
      needsChecksum &&
      acceptsSegmentation(type, accepted) &&
      view.getUint16(virtio_net_hdr_v1.gso_size, true) > 0 &&
      view.getUint16(virtio_net_hdr_v1.hdr_len, true) <= frameSize
    );
  }
}

function acceptsSegmentation(type: number, { tso4, tso6, ecn, uso }: Offloads): boolean {
  switch (type) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
      return tso4;
    case VIRTIO_NET_HDR_GSO_TCPV6:
      return tso6;
    case VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN:
      return tso4 && ecn;
    case VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN:
      return tso6 && ecn;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
      return uso;
    default:
      return false;
  }
}

/** Says in a received frame's header in how many buffers it lies (virtio 1.3, 5.1.6.4.1). */
export function writeBufferCount(first: ScatterList, count: number): void {
  const { segments } = first;
  const at = virtio_net_hdr_v1.num_buffers;
  const segment = segments[0];
  if (segment !== undefined && segment.length >= HEADER_SIZE) {
    segment[at] = count & 0xff;
    segment[at + 1] = count >> 8;
  } else first.write(at, Uint8Array.of(count & 0xff, count >> 8));
}
