import { describe, expect, test } from 'vitest';
import { guestAddress } from '../../../lib/brand.ts';
import { PAGE_SIZE } from '../../../lib/units.ts';
import { GuestMemory } from '../../../memory/guest-memory.ts';
import {
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_BALLOON_S_MEMFREE,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INTERRUPT_STATUS,
} from '../abi.gen.ts';
import { hasFeature } from '../features.ts';
import { BalloonGuest, FakeBalloonHost, MEMORY_SIZE } from '../testing/balloon-guest.ts';
import { FakeTimers } from '../testing/fake-vsock-host.ts';
import { MockMachine } from '../testing/mock-driver.ts';
import { BalloonDevice, MAX_PAGES_PER_BUFFER, NoStatisticsError } from './device.ts';

const INFLATE = 0;
const DEFLATE = 1;
const STATISTICS = 2;
const REPORTING = 3;
const MEMORY_PAGES = MEMORY_SIZE / PAGE_SIZE;

describe('the features', () => {
  test('are what was asked for, and a queue for each that needs one', () => {
    const offered = [{}, { deflateOnOom: true, freePageReporting: true }].map((options) => {
      const { features, queueSizes } = new BalloonGuest(options).device;
      const bits = [VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_REPORTING];
      return [...bits.map((bit) => hasFeature(features, bit)), queueSizes.length];
    });
    expect(offered).toEqual([
      [true, false, false, 3],
      [true, true, true, 4],
    ]);
  });
});

describe('the target', () => {
  test('is told in pages, and when it changes', () => {
    const guest = new BalloonGuest({ targetMib: 1 });
    expect(guest.readField('num_pages')).toBe(256);
    guest.device.setTarget(2);
    expect(guest.readField('num_pages')).toBe(512);
    expect(guest.machine.driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG).not.toBe(0);
    expect(guest.device.targetMib).toBe(2);
  });

  test.each([5, -1, 0.5, Number.NaN])('cannot be %d MiB of a guest of 4', (mib) => {
    const guest = new BalloonGuest();
    expect(() => guest.device.setTarget(mib)).toThrow(RangeError);
    expect(guest.device.targetMib).toBe(0);
  });

  test('may be all of memory', () => {
    expect(new BalloonGuest({ targetMib: 4 }).device.targetMib).toBe(4);
  });

  test('stays when the driver is started again, with an empty balloon', () => {
    const guest = new BalloonGuest({ targetMib: 1 });
    guest.writeField('actual', 256);
    expect(guest.device.actualMib).toBe(1);
    guest.machine.driver.start();
    expect([guest.readField('num_pages'), guest.readField('actual')]).toEqual([256, 0]);
  });

  test('is not for the driver to write', () => {
    const guest = new BalloonGuest({ targetMib: 1 });
    guest.machine.transport.write(0x100, Uint8Array.of(1, 2, 3, 4));
    guest.machine.transport.write(0x104, Uint8Array.of(1, 2));
    expect([guest.readField('num_pages'), guest.readField('actual')]).toEqual([256, 0]);
  });
});

describe('inflating', () => {
  test('gives neighbours back together, whatever their order', () => {
    const guest = new BalloonGuest();
    guest.list(INFLATE, [300, 302, 301, 100]);
    expect(guest.host.discarded).toEqual(['100+1', '300+3']);
    expect(guest.queue(INFLATE).takeUsed()).toHaveLength(1);
    expect(guest.device.metrics()).toMatchObject({ inflated_pages: 4, discarded_bytes: 4 * PAGE_SIZE });
  });

  test('never touches what is not RAM', () => {
    const guest = new BalloonGuest();
    guest.list(INFLATE, [MEMORY_PAGES, 0xffff_ffff, 0x8_0000, MEMORY_PAGES - 1]);
    expect(guest.host.discarded).toEqual([`${MEMORY_PAGES - 1}+1`]);
    expect(guest.device.metrics()).toMatchObject({ refused_pages: 3 });
    expect(guest.machine.transport.state.kind).toBe('active');
  });

  test('of neighbours in two pieces of RAM gives both back', () => {
    const host = new FakeBalloonHost();
    const device = new BalloonDevice({ backend: host, timers: new FakeTimers(), memorySize: MEMORY_SIZE });
    const [low, high] = [new Uint8Array(MEMORY_SIZE / 2), new Uint8Array(MEMORY_SIZE / 2)];
    const memory = new GuestMemory([
      { guestAddress: guestAddress(0), bytes: low },
      { guestAddress: guestAddress(low.length), bytes: high },
    ]);
    const { driver } = new MockMachine(device, { memory });
    driver.start();
    const edge = low.length / PAGE_SIZE;
    driver.queue(INFLATE).push({ read: new Uint8Array(Uint32Array.of(edge, edge - 1).buffer) });
    driver.queue(INFLATE).kick();
    expect(host.discarded).toEqual([`${edge - 1}+1`, `${edge}+1`]);
  });

  test('goes on when the host cannot take pages', () => {
    const guest = new BalloonGuest();
    guest.host.isBroken = true;
    guest.list(INFLATE, [300]);
    expect(guest.queue(INFLATE).takeUsed()).toHaveLength(1);
    expect(guest.errors).toHaveLength(1);
    expect(guest.device.metrics()).toMatchObject({ failed_discards: 1, discarded_bytes: 0 });
  });

  test.each([
    ['', 0],
    [' that are not RAM', MEMORY_PAGES],
  ])('of many scattered pages%s leaves turns for others', (_, first) => {
    const guest = new BalloonGuest();
    const scattered = Array.from({ length: MEMORY_PAGES / 2 - 1 }, (_, index) => first + 2 * index + 1);
    for (let index = 0; index < 4; index++) guest.list(INFLATE, scattered);
    expect(guest.queue(INFLATE).takeUsed()).toHaveLength(3);
    expect(guest.machine.runDeferred()).toBe(1);
    expect(guest.queue(INFLATE).takeUsed()).toHaveLength(1);
  });

  test.each([
    ['nothing', { write: 4 }],
    ['a part of a number', { read: new Uint8Array(6) }],
    ['more than anybody lists', { read: new Uint8Array(4 * MAX_PAGES_PER_BUFFER + 4) }],
  ])('with a buffer of %s fails the device', (_, part) => {
    const guest = new BalloonGuest();
    guest.queue(INFLATE).push(part);
    guest.queue(INFLATE).kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });
});

test('deflating gives nothing back', () => {
  const guest = new BalloonGuest();
  guest.list(DEFLATE, [300, 301]);
  expect(guest.host.discarded).toEqual([]);
  expect(guest.queue(DEFLATE).takeUsed()).toHaveLength(1);
  expect(guest.device.metrics()).toMatchObject({ deflated_pages: 2 });
});

describe('free page reporting', () => {
  /** Reports one block; the mock driver puts it where it likes. */
  function report(guest: BalloonGuest, queueIndex: number, length: number): void {
    guest.queue(queueIndex).push({ write: length });
    guest.queue(queueIndex).kick();
  }
  const discardedPages = (guest: BalloonGuest) =>
    guest.host.discarded.reduce((sum, range) => sum + Number(range.split('+')[1]), 0);

  test('gives the whole pages of each block back', () => {
    const guest = new BalloonGuest({ freePageReporting: true });
    report(guest, REPORTING, 16 * PAGE_SIZE);
    report(guest, REPORTING, 100);
    expect(discardedPages(guest)).toBeGreaterThanOrEqual(15);
    expect(guest.queue(REPORTING).takeUsed()).toHaveLength(2);
    expect(guest.device.metrics()).toMatchObject({ reported_bytes: 16 * PAGE_SIZE + 100 });
  });

  test('leaves pages alone that are to keep what the guest fills them with', () => {
    const guest = new BalloonGuest({ freePageReporting: true });
    guest.writeField('poison_val', 0xaaaa_aaaa);
    report(guest, REPORTING, 16 * PAGE_SIZE);
    expect(guest.host.discarded).toEqual([]);
    expect(guest.queue(REPORTING).takeUsed()).toHaveLength(1);
  });

  test('takes no poison into account that was not negotiated', () => {
    const guest = new BalloonGuest({ freePageReporting: true, refuse: [VIRTIO_BALLOON_F_PAGE_POISON] });
    guest.writeField('poison_val', 1);
    report(guest, REPORTING, 16 * PAGE_SIZE);
    expect(guest.host.discarded).toHaveLength(1);
  });

  test('has the queue behind the last one that was negotiated', () => {
    const guest = new BalloonGuest({ freePageReporting: true, refuse: [VIRTIO_BALLOON_F_STATS_VQ] });
    report(guest, 2, 16 * PAGE_SIZE);
    expect(guest.host.discarded).toHaveLength(1);
  });
});

describe('statistics', () => {
  test('are there once the driver has offered its buffer, which is kept', () => {
    const guest = new BalloonGuest();
    expect(guest.device.statistics).toBeUndefined();
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 4096n]]);
    expect(guest.device.statistics).toEqual({ free_memory_bytes: 4096 });
    expect(guest.queue(STATISTICS).takeUsed()).toEqual([]);
  });

  test('are asked for anew, and waited for', async () => {
    const guest = new BalloonGuest();
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 4096n]]);
    const answers = [guest.device.requestStatistics(), guest.device.requestStatistics()];
    expect(guest.queue(STATISTICS).takeUsed()).toHaveLength(1);
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 8192n]]);
    expect(await Promise.all(answers)).toEqual([{ free_memory_bytes: 8192 }, { free_memory_bytes: 8192 }]);
  });

  test('are looked at regularly', () => {
    const guest = new BalloonGuest({ statisticsIntervalMs: 1000 });
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 1n]]);
    const asked = Array.from({ length: 3 }, () => {
      guest.timers.advance(1000);
      const { length } = guest.queue(STATISTICS).takeUsed();
      guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 1n]]);
      return length;
    });
    expect(asked).toEqual([1, 1, 1]);
  });

  test('cannot be had without a driver, of one that has none, or of one that stops', async () => {
    const [none, other, stops] = [
      new BalloonGuest({ isStarted: false }),
      new BalloonGuest({ refuse: [VIRTIO_BALLOON_F_STATS_VQ] }),
      new BalloonGuest(),
    ];
    const answers = [none, other, stops].map((guest) => guest.device.requestStatistics());
    stops.machine.driver.reset();
    for (const answer of answers) await expect(answer).rejects.toThrow(NoStatisticsError);
  });

  test('of a driver with two buffers are in the last one', () => {
    const guest = new BalloonGuest();
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 1n]]);
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 2n]]);
    expect(guest.device.statistics).toEqual({ free_memory_bytes: 2 });
    expect(guest.queue(STATISTICS).takeUsed()).toHaveLength(1);
  });
});

describe('restored from a snapshot', () => {
  test('the balloon is as large as it was, and its driver learns of nothing', async () => {
    const guest = new BalloonGuest({ targetMib: 1, freePageReporting: true });
    guest.device.setTarget(3);
    guest.writeField('actual', 512);
    guest.writeField('poison_val', 7);
    guest.machine.driver.writeRegister(0x64, VIRTIO_MMIO_INT_CONFIG);
    await guest.move();
    expect([guest.device.targetMib, guest.device.actualMib, guest.readField('poison_val')]).toEqual([3, 2, 7]);
    guest.machine.transport.resume();
    expect(guest.machine.driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG).toBe(0);
  });

  test('the statistics buffer that was kept is kept again', async () => {
    const guest = new BalloonGuest();
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 4096n]]);
    await guest.move();
    guest.machine.transport.resume();
    expect(guest.device.statistics).toEqual({ free_memory_bytes: 4096 });
    const answer = guest.device.requestStatistics();
    expect(guest.queue(STATISTICS).takeUsed()).toHaveLength(1);
    guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 8192n]]);
    expect(await answer).toEqual({ free_memory_bytes: 8192 });
  });

  test('pages that were listed are given back once', async () => {
    const guest = new BalloonGuest();
    guest.list(INFLATE, [300]);
    await guest.machine.transport.quiesce();
    guest.list(INFLATE, [400]);
    await guest.move();
    expect(guest.host.discarded).toEqual(['300+1']);
    guest.machine.transport.resume();
    expect(guest.host.discarded).toEqual(['300+1', '400+1']);
    expect(guest.queue(INFLATE).takeUsed()).toHaveLength(2);
  });

  test.each([undefined, -1, 2 ** 32, '0'])('a state with a target of %j pages is refused', async (targetPages) => {
    const guest = new BalloonGuest();
    await guest.machine.transport.quiesce();
    const snapshot = {
      ...guest.machine.transport.saveState(),
      device: { targetPages, actualPages: 0, poisonValue: 0 },
    };
    const other = new BalloonGuest({ isStarted: false }).machine;
    expect(() => other.transport.restoreState(snapshot)).toThrow('the state of a balloon has no targetPages');
  });
});

test('a paused balloon asks for nothing, and for statistics once afterwards', async () => {
  const guest = new BalloonGuest({ statisticsIntervalMs: 1000 });
  guest.offerStatistics(STATISTICS, [[VIRTIO_BALLOON_S_MEMFREE, 1n]]);
  await guest.machine.transport.quiesce();
  for (let index = 0; index < 5; index++) guest.timers.advance(1000);
  expect(guest.queue(STATISTICS).takeUsed()).toEqual([]);
  guest.machine.transport.resume();
  expect(guest.queue(STATISTICS).takeUsed()).toHaveLength(1);
});
