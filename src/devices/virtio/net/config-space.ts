// struct virtio_net_config (virtio 1.3, 5.1.4), as far as features here make it valid.
import { VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP, virtio_net_config } from '../abi.gen.ts';

export const MAC_SIZE = 6;
/** The fields up to `speed`, which is not offered. */
const CONFIG_SIZE: number = virtio_net_config.speed;

/** The smallest MTU that IPv4 works with (RFC 791), and what virtio allows at least (virtio 1.3, 5.1.4.1). */
export const MINIMUM_MTU = 68;
export const MAXIMUM_MTU = 65535;

/** The configuration space of one device; its bytes are changed in place. */
export class NetConfigSpace {
  readonly bytes = new Uint8Array(CONFIG_SIZE);
  readonly #view = new DataView(this.bytes.buffer);

  /**
   * @param mac 6 bytes, of one station: not those of a group
   * @param mtu undefined when the driver is not told
   * @throws RangeError when the address or the MTU cannot be
   */
  constructor(mac: Uint8Array, mtu: number | undefined) {
    if (!isStationAddress(mac)) throw new RangeError(`${formatMac(mac)} is no MAC address of a single station`);
    if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= MINIMUM_MTU && mtu <= MAXIMUM_MTU)) {
      throw new RangeError(`an MTU of ${mtu}: use ${MINIMUM_MTU} to ${MAXIMUM_MTU}`);
    }
    this.mac = mac;
    this.#view.setUint16(virtio_net_config.max_virtqueue_pairs, 1, true);
    if (mtu !== undefined) this.#view.setUint16(virtio_net_config.mtu, mtu, true);
  }

  get mac(): Uint8Array {
    return this.bytes.slice(virtio_net_config.mac, virtio_net_config.mac + MAC_SIZE);
  }

  set mac(mac: Uint8Array) {
    this.bytes.set(mac, virtio_net_config.mac);
  }

  get isLinkUp(): boolean {
    return this.#hasStatus(VIRTIO_NET_S_LINK_UP);
  }

  set isLinkUp(isUp: boolean) {
    this.#setStatus(VIRTIO_NET_S_LINK_UP, isUp);
  }

  /** Whether the driver is asked to tell the network where it is (virtio 1.3, 5.1.6.5.4). */
  get isAnnouncing(): boolean {
    return this.#hasStatus(VIRTIO_NET_S_ANNOUNCE);
  }

  set isAnnouncing(isAnnouncing: boolean) {
    this.#setStatus(VIRTIO_NET_S_ANNOUNCE, isAnnouncing);
  }

  #hasStatus(mask: number): boolean {
    return (this.#view.getUint16(virtio_net_config.status, true) & mask) !== 0;
  }

  #setStatus(mask: number, isSet: boolean): void {
    const others = this.#view.getUint16(virtio_net_config.status, true) & ~mask;
    this.#view.setUint16(virtio_net_config.status, isSet ? others | mask : others, true);
  }
}

/** Whether these are the six bytes of an address that one station can have: neither a group's nor zero. */
export function isStationAddress(mac: Uint8Array): boolean {
  return mac.length === MAC_SIZE && ((mac[0] ?? 0) & GROUP_BIT) === 0 && mac.some((byte) => byte !== 0);
}

/** "52:54:00:12:34:56" */
export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** @returns undefined when the text is no address of six bytes */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** An address out of six bytes of randomness: of a single station, and of nobody's range (IEEE 802, 8.4). */
export function localMac(random: Uint8Array): Uint8Array {
  const mac = random.slice(0, MAC_SIZE);
  mac[0] = ((mac[0] ?? 0) & ~GROUP_BIT) | LOCAL_BIT;
  return mac;
}

const GROUP_BIT = 0x01;
const LOCAL_BIT = 0x02;
