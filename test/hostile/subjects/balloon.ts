import { BalloonDevice } from '../../../src/devices/virtio/balloon/device.ts';
import { FakeTimers } from '../../../src/devices/virtio/testing/fake-vsock-host.ts';
import { MIB, PAGE_SIZE } from '../../../src/lib/units.ts';
import { HIGH_RAM, LOW_RAM } from '../guarded-memory.ts';
import type { Subject } from '../subject.ts';

const INFLATE_QUEUE = 0;
const STATISTICS_INTERVAL_MS = 1000;

const numbers = (...pages: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(pages).buffer);
const isRam = (address: number, length: number): boolean =>
  [LOW_RAM, HIGH_RAM].some(({ start, size }) => address >= start && address + length <= start + size);

export const balloon: Subject = {
  name: 'balloon',
  eagerQueue: INFLATE_QUEUE,
  openings: [
    numbers(1),
    numbers(2, 3, 4, 5),
    numbers(15, 16, 17),
    numbers(0xffff_ffff, 0x8000_0000, 0x40),
    numbers(0xffff_fffe, 0xffff_ffff, 0),
    // A statistic: a tag of two bytes, a value of eight.
    Uint8Array.of(0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
  ],
  create() {
    const discarded: { readonly address: number; readonly length: number }[] = [];
    const timers = new FakeTimers();
    let isBroken = false;
    const device = new BalloonDevice({
      backend: {
        discard(address, length) {
          discarded.push({ address, length });
          if (isBroken) throw new Error('the host cannot');
        },
      },
      timers,
      memorySize: 8 * MIB,
      deflateOnOom: true,
      freePageReporting: true,
      statisticsIntervalMs: STATISTICS_INTERVAL_MS,
    });
    return {
      device,
      act(choice) {
        const actions = [
          () => timers.advance(STATISTICS_INTERVAL_MS),
          () => device.setTarget(choice % 8),
          () => void device.requestStatistics().catch(() => {}),
          () => {
            isBroken = !isBroken;
          },
        ];
        actions[choice % actions.length]?.();
      },
      release() {
        isBroken = false;
      },
      received: () => [],
      excess() {
        const wrong = discarded.find(
          ({ address, length }) => !isRam(address, length) || (address | length) % PAGE_SIZE !== 0 || length === 0,
        );
        return wrong === undefined ? undefined : `it gave ${wrong.length} bytes at ${wrong.address} back to the host`;
      },
      async use(driver, settle) {
        const before = discarded.length;
        const queue = driver.queue(INFLATE_QUEUE);
        queue.push({ read: numbers(9) });
        queue.kick();
        await settle();
        return queue.takeUsed().length === 1 && discarded[before]?.address === 9 * PAGE_SIZE;
      },
    };
  },
};
