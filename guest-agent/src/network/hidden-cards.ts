// Network cards that nobody is to see. The machine has all of its cards from its start; what has no network is nothing to a
// container, and so it has no driver. (driver-api/driver-model/binding.rst; virtio is a bus like any other)

import type { Rtnetlink } from '../../../src/netlink/rtnetlink.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { readLink, writeText } from '../linux/file.ts';
import { findLink } from './find-link.ts';

const DRIVER = '/sys/bus/virtio/drivers/virtio_net';

export class HiddenCards {
  /** By MAC address, the device's name on its bus. */
  readonly #devices = new Map<string, string>();

  /** Takes their drivers from cards. @throws StatusError NOT_FOUND; SystemError */
  hide(network: Rtnetlink, macAddresses: readonly string[]): void {
    for (const macAddress of macAddresses) {
      if (this.#devices.has(macAddress)) continue;
      const link = findLink(network.links(), { macAddress });
      if (link === undefined)
        throw new StatusError('NOT_FOUND', `the guest has no card with the address ${macAddress}`);
      const device = readLink(`/sys/class/net/${link.name}/device`, abi.AT_FDCWD).split('/').at(-1) ?? '';
      writeText(`${DRIVER}/unbind`, device);
      this.#devices.set(macAddress, device);
    }
  }

  /** Gives those of the cards their drivers again that were hidden. @throws SystemError */
  show(macAddresses: readonly string[]): void {
    for (const macAddress of macAddresses) {
      const device = this.#devices.get(macAddress);
      if (device === undefined) continue;
      writeText(`${DRIVER}/bind`, device);
      this.#devices.delete(macAddress);
    }
  }
}
