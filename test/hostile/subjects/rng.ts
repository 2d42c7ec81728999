import { EntropyDevice } from '../../../src/devices/virtio/rng/device.ts';
import type { Subject } from '../subject.ts';

const RANDOM = 0x5a;

export const rng: Subject = {
  name: 'rng',
  eagerQueue: 0,
  openings: [],
  create: () => ({
    device: new EntropyDevice({ fill: (bytes) => void bytes.fill(RANDOM) }),
    act() {
      // Nothing happens at the host's end.
    },
    release() {
      // Nothing waits there.
    },
    received: () => [],
    async use(driver, settle) {
      const queue = driver.queue(0);
      queue.push({ write: 48 });
      queue.kick();
      await settle();
      const [used] = queue.takeUsed();
      return used?.bytes.length === 48 && used.bytes.every((byte) => byte === RANDOM);
    },
  }),
};
