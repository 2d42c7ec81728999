// What one end of a link may leave to the other: checksums that are not filled in, segments that are not cut
// (virtio 1.3, 5.1.3). The same set stands for both directions.
import {
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_USO,
} from '../abi.gen.ts';
import { featureSet, hasFeature } from '../features.ts';

/** Kinds of unfinished frames that a receiver takes. */
export interface Offloads {
  /** Frames whose checksum is to be filled in (VIRTIO_NET_HDR_F_NEEDS_CSUM). All others need this one. */
  readonly checksum: boolean;
  /** TCP over IPv4 of up to 64 KiB, to be cut. */
  readonly tso4: boolean;
  /** TCP over IPv6 of up to 64 KiB, to be cut. */
  readonly tso6: boolean;
  /** Those two with ECN bits set. */
  readonly ecn: boolean;
  /** UDP of up to 64 KiB, to be cut into datagrams. */
  readonly uso: boolean;
}

export const NO_OFFLOADS: Offloads = { checksum: false, tso4: false, tso6: false, ecn: false, uso: false };

/** Features by which a device takes unfinished frames from its driver (virtio 1.3, 5.1.3, "HOST"). */
export function hostOffloadFeatures(offloads: Offloads): bigint {
  const { checksum, tso4, tso6, ecn, uso } = withPrerequisites(offloads);
  return featureSet(
    ...(checksum ? [VIRTIO_NET_F_CSUM] : []),
    ...(tso4 ? [VIRTIO_NET_F_HOST_TSO4] : []),
    ...(tso6 ? [VIRTIO_NET_F_HOST_TSO6] : []),
    ...(ecn ? [VIRTIO_NET_F_HOST_ECN] : []),
    ...(uso ? [VIRTIO_NET_F_HOST_USO] : []),
  );
}

/** Features by which a driver takes unfinished frames from its device (virtio 1.3, 5.1.3, "GUEST"). */
export function guestOffloadFeatures(offloads: Offloads): bigint {
  const { checksum, tso4, tso6, ecn, uso } = withPrerequisites(offloads);
  return featureSet(
    ...(checksum ? [VIRTIO_NET_F_GUEST_CSUM] : []),
    ...(tso4 ? [VIRTIO_NET_F_GUEST_TSO4] : []),
    ...(tso6 ? [VIRTIO_NET_F_GUEST_TSO6] : []),
    ...(ecn ? [VIRTIO_NET_F_GUEST_ECN] : []),
    ...(uso ? [VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6] : []),
  );
}

/** What the device takes from a driver with these features. */
export function hostOffloads(features: bigint): Offloads {
  return withPrerequisites({
    checksum: hasFeature(features, VIRTIO_NET_F_CSUM),
    tso4: hasFeature(features, VIRTIO_NET_F_HOST_TSO4),
    tso6: hasFeature(features, VIRTIO_NET_F_HOST_TSO6),
    ecn: hasFeature(features, VIRTIO_NET_F_HOST_ECN),
    uso: hasFeature(features, VIRTIO_NET_F_HOST_USO),
  });
}

/** What a driver with these features takes. */
export function guestOffloads(features: bigint): Offloads {
  return withPrerequisites({
    checksum: hasFeature(features, VIRTIO_NET_F_GUEST_CSUM),
    tso4: hasFeature(features, VIRTIO_NET_F_GUEST_TSO4),
    tso6: hasFeature(features, VIRTIO_NET_F_GUEST_TSO6),
    ecn: hasFeature(features, VIRTIO_NET_F_GUEST_ECN),
    // No back end can tell UDP over IPv4 and over IPv6 apart.
    uso: hasFeature(features, VIRTIO_NET_F_GUEST_USO4) && hasFeature(features, VIRTIO_NET_F_GUEST_USO6),
  });
}

/** Whether a frame may be longer than the link's MTU says. */
export function hasLargeFrames({ tso4, tso6, uso }: Offloads): boolean {
  return tso4 || tso6 || uso;
}

/** A feature without those that it requires (virtio 1.3, 5.1.3.1) is none. */
function withPrerequisites({ checksum, tso4, tso6, ecn, uso }: Offloads): Offloads {
  return {
    checksum,
    tso4: checksum && tso4,
    tso6: checksum && tso6,
    ecn: checksum && (tso4 || tso6) && ecn,
    uso: checksum && uso,
  };
}
