import {
  VIRTIO_MEM_REQ_PLUG,
  VIRTIO_MEM_REQ_STATE,
  VIRTIO_MEM_REQ_UNPLUG,
  VIRTIO_MEM_REQ_UNPLUG_ALL,
  VIRTIO_MEM_RESP_ACK,
  virtio_mem_resp,
} from '../../../src/devices/virtio/abi.gen.ts';
import { MemoryDevice } from '../../../src/devices/virtio/mem/device.ts';
import {
  encodeRequest,
  FakeMemoryHost,
  LAYOUT,
  MAXIMUM_BLOCKS,
} from '../../../src/devices/virtio/testing/memory-guest.ts';
import type { Subject } from '../subject.ts';

const blocks = (type: number, first: number, count: number): Uint8Array =>
  encodeRequest(type, BigInt(LAYOUT.address + first * LAYOUT.blockSize), count);

export const mem: Subject = {
  name: 'mem',
  eagerQueue: 0,
  openings: [
    blocks(VIRTIO_MEM_REQ_PLUG, 0, 1),
    blocks(VIRTIO_MEM_REQ_PLUG, 2, 6),
    blocks(VIRTIO_MEM_REQ_UNPLUG, 2, 1),
    blocks(VIRTIO_MEM_REQ_UNPLUG, 3, 0xffff),
    blocks(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0),
    blocks(VIRTIO_MEM_REQ_STATE, 0, 16),
  ],
  create() {
    const host = new FakeMemoryHost();
    const device = new MemoryDevice({
      backend: host,
      layout: LAYOUT,
      maximumSize: MAXIMUM_BLOCKS * LAYOUT.blockSize,
    });
    let wanted = 0;
    const want = (count: number): void => {
      wanted = Math.max(wanted, count);
      device.request(count * LAYOUT.blockSize);
    };
    return {
      device,
      act(choice, size) {
        const actions = [
          () => want(size % (MAXIMUM_BLOCKS + 1)),
          // The host can have only so many changes undone: what it breaks, it breaks for new blocks.
          () => void host.broken.add(MAXIMUM_BLOCKS + (size % 4)),
          () => host.broken.clear(),
        ];
        actions[choice % actions.length]?.();
      },
      release() {
        host.broken.clear();
      },
      received: () => [],
      excess() {
        return host.plugged.size > wanted ? `it plugged ${host.plugged.size} blocks, ${wanted} were wanted` : undefined;
      },
      async use(driver, settle) {
        want(MAXIMUM_BLOCKS);
        const queue = driver.queue(0);
        for (const request of [blocks(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), blocks(VIRTIO_MEM_REQ_PLUG, 4, 5)]) {
          queue.push({ read: request }, { write: virtio_mem_resp.sizeof });
          queue.kick();
          await settle();
        }
        const answers = queue.takeUsed();
        return (
          answers.length === 2 &&
          answers.every(({ bytes }) => bytes[0] === VIRTIO_MEM_RESP_ACK) &&
          host.plugged.size === 5
        );
      },
    };
  },
};
