import { describe, expect, test } from 'vitest';
import { MIB } from '../../../lib/units.ts';
import {
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_WRITE_ZEROES,
  VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INTERRUPT_STATUS,
  VIRTIO_MMIO_STATUS,
  virtio_blk_config,
} from '../abi.gen.ts';
import { hasFeature } from '../features.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { BlockGuest, MemoryDisk, requestHeader, requestRange } from '../testing/block-guest.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { SECTOR_SIZE } from './config-space.ts';
import { BlockDevice, MAX_IN_FLIGHT } from './device.ts';

const DISK_SECTORS = 128n;
const readOnlyDisk = () => new MemoryDisk(64 * 1024, true);
const data = (length: number) => Uint8Array.from({ length }, (_, index) => index % 251);

/** The driver writes the cache mode. */
function setWriteback(guest: BlockGuest, mode: number): void {
  guest.machine.transport.write(VIRTIO_MMIO_CONFIG + virtio_blk_config.wce, Uint8Array.of(mode));
}

/** The cache mode as the driver reads it. */
function writeback(guest: BlockGuest): number | undefined {
  return guest.machine.transport.read(VIRTIO_MMIO_CONFIG + virtio_blk_config.wce, 1)[0];
}

describe('the configuration space', () => {
  test('tells the capacity in sectors, the block sizes and the limits', () => {
    const space = new BlockDevice({ name: 'd', backend: new MemoryDisk(8192) }).configurationSpace;
    const view = new DataView(space.buffer);

    expect(view.getBigUint64(virtio_blk_config.capacity, true)).toBe(16n);
    expect(view.getUint32(virtio_blk_config.seg_max, true)).toBe(254);
    expect(view.getUint32(virtio_blk_config.blk_size, true)).toBe(512);
    expect(view.getUint8(virtio_blk_config.physical_block_exp)).toBe(3);
    expect(view.getUint32(virtio_blk_config.max_discard_sectors, true)).toBe(524288);
    expect(view.getUint32(virtio_blk_config.discard_sector_alignment, true)).toBe(8);
    expect(view.getUint32(virtio_blk_config.max_write_zeroes_seg, true)).toBe(32);
    expect(view.getUint8(virtio_blk_config.write_zeroes_may_unmap)).toBe(1);
  });

  test('of a read-only disk offers nothing that changes it', () => {
    const device = new BlockDevice({ name: 'd', backend: readOnlyDisk() });
    const bits = [VIRTIO_BLK_F_RO, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES];

    expect(bits.map((bit) => hasFeature(device.features, bit))).toEqual([true, false, false, false]);
    expect(device.configurationSpace[virtio_blk_config.max_discard_seg]).toBe(0);
  });

  test.each(['twenty-one characters', 'disk\n', 'plätte'])('cannot be had with the id %j', (id) => {
    expect(() => new BlockDevice({ name: 'd', backend: new MemoryDisk(8192), id })).toThrow(RangeError);
  });

  test('cannot be had of a size that is no whole number of sectors', () => {
    expect(() => new BlockDevice({ name: 'd', backend: new MemoryDisk(8191) })).toThrow(RangeError);
  });
});

describe('a request', () => {
  test('reads into buffers of any layout', async () => {
    const guest = new BlockGuest();
    guest.disk.bytes.set(data(1024), 3 * SECTOR_SIZE);

    const answer = await guest.request(VIRTIO_BLK_T_IN, 3n, { write: 100 }, { write: 924 });

    expect(answer).toEqual({ status: VIRTIO_BLK_S_OK, data: data(1024), written: 1025 });
  });

  test('writes from buffers of any layout', async () => {
    const guest = new BlockGuest();
    const bytes = data(1024);

    const answer = await guest.request(
      VIRTIO_BLK_T_OUT,
      2n,
      { read: bytes.subarray(0, 7) },
      { read: bytes.subarray(7) },
    );

    expect(answer).toEqual({ status: VIRTIO_BLK_S_OK, data: new Uint8Array(), written: 1 });
    expect(guest.disk.bytes.slice(1024, 2048)).toEqual(bytes);
  });

  test('may have its header and its data in one buffer, its data and its status in another', async () => {
    const guest = new BlockGuest();
    guest.disk.bytes.fill(7);
    const queue = guest.machine.driver.queue(0);

    queue.push(
      { read: requestHeader(VIRTIO_BLK_T_IN, 0n).subarray(0, 5) },
      { read: new Uint8Array(11) },
      { write: 513 },
    );
    queue.kick();
    const [used] = await guest.settle();

    expect(used?.bytes).toEqual(new Uint8Array(513).fill(7).fill(VIRTIO_BLK_S_OK, 512));
  });

  test('of more than a piece is carried out in pieces', async () => {
    const disk = new MemoryDisk(4 * MIB);
    disk.bytes.set(data(1000), 1.5 * MIB);
    const guest = new BlockGuest({ disk, memorySize: 8 * MIB });

    const answer = await guest.request(VIRTIO_BLK_T_IN, 1n, { write: 1000 }, { write: 2.5 * MIB - 1000 });

    expect(Buffer.compare(answer.data, disk.bytes.subarray(512, 2.5 * MIB + 512))).toBe(0);
    expect(disk.log).toEqual([`read 512 ${MIB}`, `read ${MIB + 512} ${MIB}`, `read ${2 * MIB + 512} ${MIB / 2}`]);
  });

  test('flushes', async () => {
    const guest = new BlockGuest();

    const { status } = await guest.request(VIRTIO_BLK_T_FLUSH, 0n);

    expect(status).toBe(VIRTIO_BLK_S_OK);
    expect(guest.disk.log).toEqual(['flush']);
  });

  test('gets the id, padded with zeros', async () => {
    const { data: id, written } = await new BlockGuest().request(VIRTIO_BLK_T_GET_ID, 0n, { write: 20 });

    expect(new TextDecoder().decode(id)).toBe('disk0'.padEnd(20, '\0'));
    expect(written).toBe(21);
  });

  test('discards and writes zeroes in several ranges', async () => {
    const guest = new BlockGuest();

    await guest.request(VIRTIO_BLK_T_DISCARD, 0n, requestRange(1n, 2), requestRange(5n, 1));
    await guest.request(
      VIRTIO_BLK_T_WRITE_ZEROES,
      0n,
      requestRange(8n, 2, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
      requestRange(126n, 2),
    );

    expect(guest.disk.log).toEqual([
      'discard 512 1024',
      'discard 2560 512',
      'zero-or-discard 4096 1024',
      'zero 64512 1024',
    ]);
  });

  test.each([
    ['an unknown type', 99, [{ write: 512 }]],
    ['a discard with the unmap flag', VIRTIO_BLK_T_DISCARD, [requestRange(0n, 1, 1)]],
    ['a write zeroes with an unknown flag', VIRTIO_BLK_T_WRITE_ZEROES, [requestRange(0n, 1, 0x8000_0000)]],
  ] as const)('that is %s is unsupported', async (_, type, parts) => {
    const guest = new BlockGuest();

    const { status } = await guest.request(type, 0n, ...parts);

    expect(status).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(guest.disk.log).toEqual([]);
  });

  test.each([VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES])(
    'of type %d is unsupported without its feature',
    async (type) => {
      const guest = new BlockGuest({ refuse: [VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES] });

      expect((await guest.request(type, 0n, requestRange(0n, 1))).status).toBe(VIRTIO_BLK_S_UNSUPP);
    },
  );

  test.each([
    ['a read behind the end', VIRTIO_BLK_T_IN, DISK_SECTORS, [{ write: 512 }]],
    ['a read across the end', VIRTIO_BLK_T_IN, DISK_SECTORS - 1n, [{ write: 1024 }]],
    ['a read at sector 2^64 - 1', VIRTIO_BLK_T_IN, 2n ** 64n - 1n, [{ write: 512 }]],
    ['a read at sector 2^55, byte 2^64', VIRTIO_BLK_T_IN, 2n ** 55n, [{ write: 512 }]],
    ['a read of half a sector', VIRTIO_BLK_T_IN, 0n, [{ write: 256 }]],
    ['a read with data for us', VIRTIO_BLK_T_IN, 0n, [{ read: data(512) }]],
    ['a write of half a sector', VIRTIO_BLK_T_OUT, 0n, [{ read: data(256) }]],
    ['a write with room for data', VIRTIO_BLK_T_OUT, 0n, [{ write: 512 }]],
    ['an id with room for less', VIRTIO_BLK_T_GET_ID, 0n, [{ write: 19 }]],
    ['a discard across the end', VIRTIO_BLK_T_DISCARD, 0n, [requestRange(127n, 2)]],
    ['a discard of no ranges', VIRTIO_BLK_T_DISCARD, 0n, []],
    ['a discard of half a range', VIRTIO_BLK_T_DISCARD, 0n, [{ read: data(8) }]],
    ['a discard of too many ranges', VIRTIO_BLK_T_DISCARD, 0n, [{ read: new Uint8Array(33 * 16) }]],
    ['a discard of too long a range', VIRTIO_BLK_T_DISCARD, 0n, [requestRange(0n, 0xffff_ffff)]],
    ['a write zeroes behind the end', VIRTIO_BLK_T_WRITE_ZEROES, 0n, [requestRange(2n ** 63n, 1)]],
  ] as const)('that is %s is an error, and nothing is done', async (_, type, sector, parts) => {
    const guest = new BlockGuest();

    const { status } = await guest.request(type, sector, ...parts);

    expect(status).toBe(VIRTIO_BLK_S_IOERR);
    expect(guest.disk.log).toEqual([]);
    expect(guest.machine.transport.state.kind).toBe('active');
  });

  test('without a whole header is an error', async () => {
    const guest = new BlockGuest();
    guest.machine.driver.queue(0).push({ read: new Uint8Array(15) }, { write: 1 });
    guest.machine.driver.queue(0).kick();

    expect((await guest.settle())[0]?.bytes).toEqual(Uint8Array.of(VIRTIO_BLK_S_IOERR));
  });

  test('without room for its status fails the device', () => {
    const guest = new BlockGuest();

    guest.machine.driver.queue(0).push({ read: requestHeader(VIRTIO_BLK_T_FLUSH, 0n) });
    guest.machine.driver.queue(0).kick();

    expect(guest.machine.transport.state.kind).toBe('failed');
  });

  test('that the disk fails is an error, reported, and the next one is served', async () => {
    const guest = new BlockGuest();
    guest.disk.isBroken = true;
    const failed = await guest.request(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    guest.disk.isBroken = false;
    const next = await guest.request(VIRTIO_BLK_T_IN, 0n, { write: 512 });

    expect([failed.status, failed.written]).toEqual([VIRTIO_BLK_S_IOERR, 0]);
    expect(guest.errors).toEqual([new Error('the disk is broken')]);
    expect(next.status).toBe(VIRTIO_BLK_S_OK);
  });

  test('that writes to a read-only disk is an error', async () => {
    const guest = new BlockGuest({ disk: readOnlyDisk() });

    const { status } = await guest.request(VIRTIO_BLK_T_OUT, 0n, { read: data(512) });

    expect(status).toBe(VIRTIO_BLK_S_IOERR);
    expect(guest.disk.log).toEqual([]);
  });

  test('that flushes a read-only disk succeeds', async () => {
    const guest = new BlockGuest({ disk: readOnlyDisk() });

    expect((await guest.request(VIRTIO_BLK_T_FLUSH, 0n)).status).toBe(VIRTIO_BLK_S_OK);
  });
});

describe('the cache mode', () => {
  test('is writeback until the driver changes it', async () => {
    const guest = new BlockGuest();
    await guest.request(VIRTIO_BLK_T_OUT, 0n, { read: data(512) });
    setWriteback(guest, 0);
    await guest.request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, requestRange(1n, 1));

    expect(guest.disk.log).toEqual(['write 0 512', 'zero 512 512', 'flush']);
    expect(writeback(guest)).toBe(0);
  });

  test('is writethrough for a driver that cannot flush', async () => {
    const guest = new BlockGuest({ refuse: [VIRTIO_BLK_F_FLUSH] });
    await guest.request(VIRTIO_BLK_T_OUT, 0n, { read: data(512) });

    expect(guest.disk.log).toEqual(['write 0 512', 'flush']);
    expect(writeback(guest)).toBe(0);
  });

  test('is writeback again after a reset', () => {
    const guest = new BlockGuest();
    setWriteback(guest, 0);
    guest.machine.driver.reset();

    expect(writeback(guest)).toBe(1);
  });

  test('of a read-only disk, and all else, cannot be written', () => {
    const guest = new BlockGuest({ disk: readOnlyDisk() });
    const before = guest.device.configurationSpace.slice();
    for (let offset = 0; offset < before.length; offset++) {
      guest.machine.transport.write(VIRTIO_MMIO_CONFIG + offset, Uint8Array.of(0xff));
    }

    expect(guest.device.configurationSpace).toEqual(before);
  });
});

describe('in flight', () => {
  test('are requests up to a limit, and the rest follows', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    for (let sector = 0n; sector < 60n; sector++) guest.submit(VIRTIO_BLK_T_IN, sector, { write: 512 });

    expect(await guest.settle()).toEqual([]);
    expect(guest.disk.heldCount).toBe(MAX_IN_FLIGHT);
    guest.disk.releaseAll();
    expect(await guest.settle()).toHaveLength(60);
  });

  test('requests go back in the order in which they finish, with an interrupt', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    const heads = [0n, 1n, 2n].map((sector) => guest.submit(VIRTIO_BLK_T_IN, sector, { write: 512 }));
    for (const index of [2, 0, 0]) {
      guest.disk.release(index);
      await Promise.resolve();
    }

    expect((await guest.settle()).map(({ head }) => head)).toEqual([heads[2], heads[0], heads[1]]);
    expect(guest.machine.interrupts).toBeGreaterThan(0);
  });

  test('a reset ends a long request after its piece, and nothing of it gets into the ring', async () => {
    const disk = new MemoryDisk(4 * MIB);
    const guest = new BlockGuest({ disk, memorySize: 8 * MIB });
    disk.isHeld = true;
    guest.submit(VIRTIO_BLK_T_OUT, 0n, { read: new Uint8Array(3 * MIB) });
    guest.machine.driver.reset();
    guest.machine.driver.start();
    disk.releaseAll();

    expect(await guest.settle()).toEqual([]);
    expect(disk.log).toEqual([`write 0 ${MIB}`]);
  });

  test('a request of a former driver keeps those of the next one waiting', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    guest.submit(VIRTIO_BLK_T_OUT, 0n, { read: data(512) });
    guest.machine.driver.reset();
    guest.machine.driver.start();
    guest.submit(VIRTIO_BLK_T_OUT, 0n, { read: new Uint8Array(512).fill(9) });
    expect(guest.disk.heldCount).toBe(1);
    guest.disk.releaseAll();

    expect(await guest.settle()).toHaveLength(1);
    expect(guest.disk.bytes.subarray(0, 512)).toEqual(new Uint8Array(512).fill(9));
  });

  test('a driver that resets is held until what was begun is over', async () => {
    const guest = new BlockGuest();
    const order: string[] = [];
    guest.disk.isHeld = true;
    guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    const reset = () => guest.machine.transport.write(VIRTIO_MMIO_STATUS, new Uint8Array(4));
    const held = reset()?.then(() => order.push('held'));
    await Promise.resolve();
    order.push('released');
    guest.disk.releaseAll();
    await held;

    expect(order).toEqual(['released', 'held']);
    expect(reset()).toBeUndefined();
  });
});

describe('at rest', () => {
  test('everything that was begun is answered, and nothing more is begun', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    guest.submit(VIRTIO_BLK_T_OUT, 0n, { read: data(512) });
    let isAtRest = false;
    const rest = guest.machine.transport.quiesce().then(() => {
      isAtRest = true;
    });
    guest.submit(VIRTIO_BLK_T_OUT, 1n, { read: data(512) });
    expect(await guest.settle()).toEqual([]);
    expect(isAtRest).toBe(false);
    guest.disk.releaseAll();
    await rest;

    expect(await guest.settle()).toHaveLength(1);
    expect(guest.disk.log).toEqual(['write 0 512']);
    guest.machine.transport.resume();
    expect(await guest.settle()).toHaveLength(1);
    expect(guest.disk.log).toEqual(['write 0 512', 'write 512 512']);
  });

  test('requests that waited for room are carried out after the rest', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    for (let index = 0; index < MAX_IN_FLIGHT + 5; index++) guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    const rest = guest.machine.transport.quiesce();
    await Promise.resolve();
    guest.disk.releaseAll();
    await rest;

    expect(await guest.settle()).toHaveLength(MAX_IN_FLIGHT);
    guest.machine.transport.resume();
    expect(await guest.settle()).toHaveLength(5);
  });

  test('a reset of a driver that was not stopped ends the wait', async () => {
    const guest = new BlockGuest();
    guest.disk.isHeld = true;
    guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    const rest = guest.machine.transport.quiesce();
    await Promise.resolve();
    guest.machine.driver.reset();
    guest.disk.releaseAll();

    await expect(rest).resolves.toBeUndefined();
  });
});

describe('restored from a snapshot', () => {
  test('a disk goes on with the requests that wait and with its cache mode', async () => {
    const guest = new BlockGuest();
    setWriteback(guest, 0);
    await guest.machine.transport.quiesce();
    guest.submit(VIRTIO_BLK_T_OUT, 3n, { read: data(512) });
    const device = new BlockDevice({ name: 'disk0', backend: guest.disk });
    const moved = await guest.machine.moveTo(device);
    expect(moved.transport.read(VIRTIO_MMIO_CONFIG + virtio_blk_config.wce, 1)).toEqual(Uint8Array.of(0));
    expect(guest.disk.log).toEqual([]);
    moved.transport.resume();

    expect((await guest.settle()).map(({ bytes }) => bytes)).toEqual([Uint8Array.of(VIRTIO_BLK_S_OK)]);
    expect(guest.disk.log).toEqual(['write 1536 512', 'flush']);
    expect(device.metrics()).toMatchObject({ write_requests: 1, write_bytes: 512 });
  });

  test('the size of a disk that has grown is announced', async () => {
    const guest = new BlockGuest();
    const moved = await guest.machine.moveTo(
      new BlockDevice({ name: 'disk0', backend: new MemoryDisk(2 * guest.disk.size) }),
    );

    expect(moved.driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG).not.toBe(0);
  });

  test('a disk that cannot be written any more is refused to a driver that writes zeroes', async () => {
    const guest = new BlockGuest();
    const move = guest.machine.moveTo(new BlockDevice({ name: 'disk0', backend: readOnlyDisk() }));

    await expect(move).rejects.toThrow('features that are not there now');
  });

  test('a state without a cache mode is refused', async () => {
    const guest = new BlockGuest();
    await guest.machine.transport.quiesce();
    const snapshot = { ...guest.machine.transport.saveState(), device: { writethrough: 1 } };
    const other = new BlockGuest().machine.transport;
    other.write(VIRTIO_MMIO_STATUS, new Uint8Array(4));

    expect(() => other.restoreState(snapshot)).toThrow('the state of a disk has no cache mode');
  });
});

describe('a rate limit', () => {
  const limiter = (clock: FakeClock) => new RateLimiter({ bytes: { size: 1024, refillTimeMs: 100 } }, clock);

  test('lets requests wait in the ring until there are tokens', async () => {
    const clock = new FakeClock();
    const guest = new BlockGuest({ limiter: limiter(clock) });
    for (let index = 0; index < 4; index++) guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    expect(await guest.settle()).toHaveLength(2);
    clock.advance(1);
    expect(await guest.settle()).toHaveLength(1);
    clock.advance(100);
    expect(await guest.settle()).toHaveLength(1);
    expect(guest.device.metrics()).toMatchObject({ throttled_events: 2, read_requests: 4 });
  });

  test('counts requests without data where operations are limited', async () => {
    const clock = new FakeClock();
    const operations = new RateLimiter({ operations: { size: 1, refillTimeMs: 10 } }, clock);
    const guest = new BlockGuest({ limiter: operations });
    for (let index = 0; index < 3; index++) guest.submit(VIRTIO_BLK_T_FLUSH, 0n);
    expect(await guest.settle()).toHaveLength(1);
    clock.advance(10);
    expect(await guest.settle()).toHaveLength(1);
  });

  test('holds nothing back after a reset, and is not refilled by it', async () => {
    const clock = new FakeClock();
    const guest = new BlockGuest({ limiter: limiter(clock) });
    for (let index = 0; index < 2; index++) guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 1024 });
    await guest.settle();
    guest.machine.driver.reset();
    guest.machine.driver.start();
    guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    expect(await guest.settle()).toHaveLength(0);
    clock.advance(1000);
    expect(await guest.settle()).toHaveLength(1);
  });

  test('goes on in a restored disk where it stood', async () => {
    const clock = new FakeClock();
    const guest = new BlockGuest({ limiter: limiter(clock) });
    guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 2048 });
    await guest.settle();
    guest.submit(VIRTIO_BLK_T_IN, 0n, { write: 512 });
    const device = new BlockDevice({ name: 'disk0', backend: guest.disk, limiter: limiter(clock) });
    const moved = await guest.machine.moveTo(device);
    moved.transport.resume();
    expect(await guest.settle()).toHaveLength(0);
    clock.advance(101);
    expect(await guest.settle()).toHaveLength(1);
  });
});

test('requests and bytes are counted, by kind and by how they ended', async () => {
  const guest = new BlockGuest();
  await guest.request(VIRTIO_BLK_T_OUT, 0n, { read: data(1024) });
  await guest.request(VIRTIO_BLK_T_IN, 0n, { write: 512 });
  await guest.request(VIRTIO_BLK_T_FLUSH, 0n);
  await guest.request(VIRTIO_BLK_T_DISCARD, 0n, requestRange(0n, 8));
  await guest.request(VIRTIO_BLK_T_WRITE_ZEROES, 0n, requestRange(0n, 8));
  await guest.request(99, 0n);
  guest.disk.isBroken = true;
  await guest.request(VIRTIO_BLK_T_IN, 0n, { write: 512 });

  expect(guest.device.metrics()).toEqual({
    read_requests: 2,
    read_bytes: 512,
    write_requests: 1,
    write_bytes: 1024,
    flush_requests: 1,
    discard_requests: 1,
    write_zeroes_requests: 1,
    refused_requests: 1,
    failed_requests: 1,
    throttled_events: 0,
  });
});
