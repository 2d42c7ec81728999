// struct virtio_vsock_config (virtio 1.3, 5.10.4).
import { virtio_vsock_config } from '../abi.gen.ts';

/** The host's context id. */
export const HOST_CID = 2;
/** The first context id that a guest can have: 0, 1 and 2 are reserved (virtio 1.3, 5.10.4). */
export const FIRST_GUEST_CID = 3;
const RESERVED_CID = 0xffff_ffff;

/** @throws RangeError when no guest can have this context id */
export function vsockConfigSpace(guestCid: number): Uint8Array {
  if (!Number.isInteger(guestCid) || guestCid < FIRST_GUEST_CID || guestCid >= RESERVED_CID) {
    throw new RangeError(`guest CID ${guestCid} is reserved: use ${FIRST_GUEST_CID} to ${RESERVED_CID - 1}`);
  }
  const bytes = new Uint8Array(virtio_vsock_config.sizeof);
  new DataView(bytes.buffer).setBigUint64(virtio_vsock_config.guest_cid, BigInt(guestCid), true);
  return bytes;
}
