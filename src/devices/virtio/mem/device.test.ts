import { describe, expect, test } from 'vitest';
import {
  VIRTIO_MEM_RESP_ACK as ACK,
  VIRTIO_MEM_RESP_BUSY as BUSY,
  VIRTIO_MEM_RESP_ERROR as ERROR,
  VIRTIO_MEM_STATE_MIXED as MIXED,
  VIRTIO_MEM_RESP_NACK as NACK,
  VIRTIO_MEM_STATE_PLUGGED as PLUGGED,
  VIRTIO_MEM_STATE_UNPLUGGED as UNPLUGGED,
  VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INTERRUPT_ACK,
  VIRTIO_MMIO_INTERRUPT_STATUS,
} from '../abi.gen.ts';
import { BLOCK_COUNT, encodeRequest, LAYOUT, MAXIMUM_BLOCKS, MemoryGuest } from '../testing/memory-guest.ts';

const { blockSize } = LAYOUT;

describe('what is wanted', () => {
  test('is nothing at first, and all of the region is usable', () => {
    const guest = new MemoryGuest();

    expect(guest.blocksOf('requested_size')).toBe(0);
    expect(guest.blocksOf('plugged_size')).toBe(0);
    expect(guest.blocksOf('usable_region_size')).toBe(BLOCK_COUNT);
    expect(guest.blocksOf('region_size')).toBe(BLOCK_COUNT);
  });

  test('is told to the driver with an interrupt, in whole blocks', () => {
    const guest = new MemoryGuest();
    guest.device.request(blockSize + 1);

    expect(guest.blocksOf('requested_size')).toBe(2);
    expect(guest.machine.interrupts).toBe(1);
  });

  test.each([-1, MAXIMUM_BLOCKS * blockSize + 1, Number.NaN])('cannot be %d bytes', (size) => {
    const guest = new MemoryGuest();

    expect(() => guest.device.request(size)).toThrow(RangeError);
    expect(guest.machine.interrupts).toBe(0);
  });

  test('is reached when as much is plugged', async () => {
    const guest = new MemoryGuest();
    guest.want(2);
    let isReached = false;
    const reached = guest.device.whenReached().then(() => {
      isReached = true;
    });
    guest.ask('plug', 0, 1);
    await Promise.resolve();
    const halfway = isReached;
    guest.ask('plug', 1, 1);
    await reached;

    expect([halfway, isReached]).toEqual([false, true]);
  });
});

describe('a driver', () => {
  test('plugs blocks of its choice up to what is wanted, and sees how much it has without an interrupt', () => {
    const guest = new MemoryGuest();
    guest.want(4);
    guest.machine.driver.writeRegister(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);

    expect(guest.ask('plug', 14, 2)).toEqual([ACK]);
    expect(guest.ask('plug', 3, 2)).toEqual([ACK]);
    expect([...guest.host.plugged]).toEqual([14, 15, 3, 4]);
    expect(guest.blocksOf('plugged_size')).toBe(4);
    expect(guest.machine.driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG).toBe(0);
  });

  test('is not given more than is wanted', () => {
    const guest = new MemoryGuest();
    guest.want(2);

    expect(guest.ask('plug', 0, 3)).toEqual([NACK]);
    expect(guest.ask('plug', 0, 2)).toEqual([ACK]);
    expect(guest.ask('plug', 2, 1)).toEqual([NACK]);
    expect(guest.host.plugged.size).toBe(2);
  });

  test('unplugs what it chooses, and all at once', () => {
    const guest = new MemoryGuest();
    guest.want(8);
    guest.ask('plug', 0, 8);
    guest.want(0);

    expect(guest.ask('unplug', 2, 2)).toEqual([ACK]);
    expect([...guest.host.plugged]).toEqual([0, 1, 4, 5, 6, 7]);
    expect(guest.ask('unplug-all')).toEqual([ACK]);
    expect(guest.host.plugged.size).toBe(0);
    expect(guest.blocksOf('plugged_size')).toBe(0);
  });

  test('is told which blocks are plugged', () => {
    const guest = new MemoryGuest();
    guest.want(4);
    guest.ask('plug', 2, 4);

    expect(guest.ask('state', 2, 4)).toEqual([ACK, PLUGGED]);
    expect(guest.ask('state', 6, 10)).toEqual([ACK, UNPLUGGED]);
    expect(guest.ask('state', 0, 16)).toEqual([ACK, MIXED]);
  });

  test.each([
    ['plugs what is plugged', 'plug', 3, 1],
    ['plugs what is partly plugged', 'plug', 3, 2],
    ['unplugs what is not plugged', 'unplug', 5, 1],
    ['unplugs what is partly plugged', 'unplug', 3, 2],
    ['plugs nothing', 'plug', 5, 0],
    ['plugs beyond the region', 'plug', 15, 2],
    ['plugs before the region', 'plug', -1, 2],
    ['asks for the state of what is no block', 'state', 16, 1],
    ['plugs half a block', 'plug', 5.5, 1],
  ] as const)('that %s is in error, and nothing is changed', (_what, kind, first, count) => {
    const guest = new MemoryGuest();
    guest.want(8);
    guest.ask('plug', 3, 1);

    expect(guest.ask(kind, first, count)[0]).toBe(ERROR);
    expect([...guest.host.plugged]).toEqual([3]);
    expect(guest.device.metrics()).toMatchObject({ refused_requests: 1 });
  });

  test('that makes a request that there is not is in error', () => {
    expect(new MemoryGuest().askRaw(encodeRequest(4, 0n, 1))[0]).toBe(ERROR);
  });

  test('that would read unplugged memory does not get the device', () => {
    const guest = new MemoryGuest([VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE]);

    expect(guest.machine.failures[0]?.message).toMatch(/does not accept VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE/);
  });

  test('that gives no room for the answer changes nothing', () => {
    const guest = new MemoryGuest();
    guest.want(1);
    guest.queue.push({ read: encodeRequest(0, BigInt(LAYOUT.address), 1) }, { write: 9 });
    guest.queue.kick();

    expect(guest.machine.transport.state.kind).toBe('failed');
    expect(guest.host.plugged.size).toBe(0);
  });

  test('keeps what is plugged over a reset', () => {
    const guest = new MemoryGuest();
    guest.want(3);
    guest.ask('plug', 0, 3);
    guest.machine.driver.start();

    expect(guest.blocksOf('plugged_size')).toBe(3);
    expect(guest.ask('state', 0, 3)).toEqual([ACK, PLUGGED]);
  });
});

describe('a host', () => {
  test('that cannot plug all blocks of a request plugs none, and the driver may try again', () => {
    const guest = new MemoryGuest();
    guest.want(4);
    guest.host.broken.add(2);

    expect(guest.ask('plug', 0, 4)).toEqual([BUSY]);
    expect(guest.host.plugged.size).toBe(0);
    expect(guest.errors).toEqual([new Error('block 2 is broken')]);
    guest.host.broken.clear();
    expect(guest.ask('plug', 0, 4)).toEqual([ACK]);
  });

  test('that cannot unplug all blocks of a request leaves them plugged', () => {
    const guest = new MemoryGuest();
    guest.want(4);
    guest.ask('plug', 0, 4);
    guest.host.broken.add(2);

    expect(guest.ask('unplug', 0, 4)).toEqual([BUSY]);
    expect(guest.host.plugged.size).toBe(4);
    expect(guest.device.metrics()).toMatchObject({ plugged_bytes: 4 * blockSize, failed_requests: 1 });
  });
});

test('only bytes of plugged blocks are RAM', () => {
  const guest = new MemoryGuest();
  guest.want(2);
  guest.ask('plug', 1, 2);
  const { device } = guest;

  expect(device.isPlugged(blockSize, 2 * blockSize)).toBe(true);
  expect(device.isPlugged(2 * blockSize - 1, 2)).toBe(true);
  expect(device.isPlugged(blockSize, 2 * blockSize + 1)).toBe(false);
  expect(device.isPlugged(blockSize - 1, 2)).toBe(false);
  expect(device.isPlugged(0, 1)).toBe(false);
  expect([...device.pluggedRanges()]).toEqual([{ offset: blockSize, length: 2 * blockSize }]);
});

describe('the state', () => {
  test('goes on in another process', () => {
    const guest = new MemoryGuest();
    guest.want(6);
    guest.ask('plug', 0, 2);
    guest.ask('plug', 9, 2);
    const moved = new MemoryGuest();
    moved.device.restoreState(JSON.parse(JSON.stringify(guest.device.saveState())));
    moved.machine.driver.start();

    expect([...moved.host.plugged]).toEqual([0, 1, 9, 10]);
    expect(moved.blocksOf('plugged_size')).toBe(4);
    expect(moved.blocksOf('requested_size')).toBe(6);
    expect(moved.ask('plug', 2, 2)).toEqual([ACK]);
  });

  test.each([
    [null],
    [{}],
    [{ requestedSize: 1, plugged: [] }],
    [{ requestedSize: 13 * blockSize, plugged: [] }],
    [{ requestedSize: 0, plugged: 'all' }],
    [{ requestedSize: 0, plugged: [16] }],
    [{ requestedSize: 0, plugged: [-1] }],
    [{ requestedSize: 0, plugged: [0.5] }],
    [{ requestedSize: 0, plugged: Array.from({ length: 13 }, (_, block) => block) }],
  ])('that cannot be is refused: %j', (state) => {
    const guest = new MemoryGuest();

    expect(() => guest.device.restoreState(state)).toThrow(/saved state of mem/);
    expect(guest.host.plugged.size).toBe(0);
  });
});
