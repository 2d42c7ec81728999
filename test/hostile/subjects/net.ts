import * as abi from '../../../src/devices/virtio/abi.gen.ts';
import { NET_QUEUE, NetDevice } from '../../../src/devices/virtio/net/device.ts';
import { concatenate } from '../../../src/devices/virtio/testing/mock-driver.ts';
import { CHECKSUM_HEADER, FakeNetwork, GUEST_MAC, netHeader } from '../../../src/devices/virtio/testing/net-guest.ts';
import type { Subject } from '../subject.ts';

const FRAME = new Uint8Array(60).fill(3);
const command = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

export const net: Subject = {
  name: 'net',
  eagerQueue: NET_QUEUE.transmit,
  openings: [
    concatenate([new Uint8Array(12), FRAME]),
    concatenate([CHECKSUM_HEADER, FRAME]),
    netHeader({ flags: 1, gsoType: abi.VIRTIO_NET_HDR_GSO_TCPV4, gsoSize: 1448, headerLength: 54, checksumStart: 34 }),
    new Uint8Array(12),
    command(abi.VIRTIO_NET_CTRL_MAC, abi.VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0, 0, 0, 9),
    command(abi.VIRTIO_NET_CTRL_GUEST_OFFLOADS, abi.VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 0, 0, 0, 0, 0, 0, 0, 0),
    command(abi.VIRTIO_NET_CTRL_ANNOUNCE, abi.VIRTIO_NET_CTRL_ANNOUNCE_ACK),
    command(abi.VIRTIO_NET_CTRL_MQ, abi.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0),
  ],
  create() {
    const network = new FakeNetwork();
    const device = new NetDevice({ name: 'eth0', mac: GUEST_MAC, backend: network });
    return {
      device,
      act(choice, size) {
        const actions = [
          () => network.arrive(new Uint8Array(14 + size).fill(4)),
          () => void network.tell(),
          () => {
            network.isFull = !network.isFull;
          },
          () => device.setLink(choice > 15),
          () => network.arrive(...Array.from({ length: 9 }, () => FRAME)),
        ];
        actions[choice % actions.length]?.();
      },
      release() {
        network.isFull = false;
        device.setLink(true);
        network.tell();
      },
      received: () => network.sent.flatMap(({ header, frame }) => [header, frame]),
      excess() {
        const wrong = network.sent.find(
          ({ header, frame }) => header.length !== 12 || frame.length < 14 || frame.length > 65_553,
        );
        return wrong === undefined ? undefined : `it sent a frame of ${wrong.frame.length} bytes`;
      },
      async use(driver, settle) {
        const before = network.sent.length;
        const transmit = driver.queue(NET_QUEUE.transmit);
        transmit.push({ read: new Uint8Array(12) }, { read: FRAME });
        transmit.kick();
        await settle();
        return network.sent.length === before + 1 && transmit.takeUsed().length === 1;
      },
    };
  },
};
