import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '../devices/virtio/abi.gen.ts';
import { BlockGuest } from '../devices/virtio/testing/block-guest.ts';
import { createMemfd, mapAnonymous, mapShared } from '../ffi/memory.unsafe.ts';
import { GIB, KIB, MIB } from '../lib/units.ts';
import { CACHE_MODES, RawFile } from './raw-file.ts';

const SIZE = 256 * KIB;
/** tmpfs cannot zero a range, and most others can. */
const FOLDERS = [tmpdir(), '/dev/shm'];

describe.each(FOLDERS)('an image in %s', (parent) => {
  let directory = '';
  let path = '';

  beforeEach(() => {
    directory = mkdtempSync(join(parent, 'tskata-raw-'));
    path = join(directory, 'disk.img');
    writeFileSync(path, Buffer.alloc(SIZE, 0xaa));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  test('gives back what was written, at its place, whatever the buffers', async () => {
    await using disk = await RawFile.open(path);
    await disk.write(1024, [Buffer.from('he'), Buffer.from('llo')]);
    await disk.flush();
    const back = [new Uint8Array(1), new Uint8Array(3), new Uint8Array(3)];
    await disk.read(1023, back);

    expect(Buffer.concat(back).toString('latin1')).toBe('\u00aahello\u00aa');
    expect([disk.size, disk.blockSize, disk.physicalBlockSize]).toEqual([SIZE, 512, 4096]);
  });

  test('past the page cache takes buffers wherever they are, and no parts of blocks', async () => {
    await using disk = await RawFile.open(path, { cache: 'direct' });
    using memory = mapAnonymous(MIB, 'test memory');
    const data = Uint8Array.from({ length: SIZE }, (_, index) => index % 241);
    memory.bytes.set(data, 4096);
    await disk.write(0, [memory.bytes.subarray(4096, 4096 + SIZE / 2)]);
    await disk.write(SIZE / 2, [data.subarray(SIZE / 2, SIZE / 2 + 7), data.subarray(SIZE / 2 + 7)]);
    const back = [new Uint8Array(3), memory.bytes.subarray(512 * KIB + 1, 512 * KIB + SIZE - 2)];
    await disk.read(0, back);

    expect(readFileSync(path).equals(data)).toBe(true);
    expect(Buffer.concat(back).equals(data)).toBe(true);
    await expect(disk.read(100, [new Uint8Array(512)])).rejects.toMatchObject({ code: 'UNALIGNED' });
    await expect(disk.write(0, [new Uint8Array(100)])).rejects.toMatchObject({ code: 'UNALIGNED' });
  });

  test('past the page cache reaches behind 4 GiB', async () => {
    truncateSync(path, 6 * GIB);
    await using disk = await RawFile.open(path, { cache: 'direct' });
    const sector = new Uint8Array(512).fill(7);
    await disk.write(5 * GIB + 512, [sector]);
    const back = new Uint8Array(1024);
    await disk.read(5 * GIB, [back]);

    expect(Buffer.from(back).equals(Buffer.concat([new Uint8Array(512), sector]))).toBe(true);
    await expect(disk.read(5 * GIB + 1, [sector])).rejects.toMatchObject({ code: 'UNALIGNED' });
  });

  test('past the page cache serves more misplaced buffers at a time than it has memory for, and is closed after them', async () => {
    const disk = await RawFile.open(path, { cache: 'direct' });
    const writes = Array.from({ length: 16 }, (_, index) =>
      disk.write(index * 16 * KIB, [new Uint8Array(16 * KIB + 1).fill(index).subarray(1)]),
    );
    await disk[Symbol.asyncDispose]();
    await Promise.all(writes);

    const bytes = readFileSync(path);
    expect(writes.every((_, index) => bytes[index * 16 * KIB] === index)).toBe(true);
  });

  test('gives discarded space back to the file system', async () => {
    await using disk = await RawFile.open(path);
    const before = statSync(path).blocks;
    await disk.discard(0, SIZE / 2);

    expect(disk.canDiscard).toBe(true);
    expect(statSync(path).blocks).toBeLessThan(before);
    expect(statSync(path).size).toBe(SIZE);
  });

  test.each(CACHE_MODES.flatMap((cache) => [true, false].map((mayDiscard) => [cache, mayDiscard] as const)))(
    'zeroes a range and nothing beside it (cache: %s; its space may go: %s)',
    async (cache, mayDiscard) => {
      await using disk = await RawFile.open(path, { cache });
      await disk.writeZeroes(512, 128 * KIB, mayDiscard);
      const bytes = readFileSync(path);

      expect(bytes.subarray(512, 512 + 128 * KIB).equals(Buffer.alloc(128 * KIB))).toBe(true);
      expect([bytes[511], bytes[512 + 128 * KIB]]).toEqual([0xaa, 0xaa]);
      expect(statSync(path).size).toBe(SIZE);
    },
  );

  test('zeroes a range of several MiB', async () => {
    writeFileSync(path, Buffer.alloc(3 * MIB, 0xaa));
    await using disk = await RawFile.open(path);
    await disk.writeZeroes(512, 2.5 * MIB, false);
    const bytes = readFileSync(path);

    expect(bytes.subarray(512, 512 + 2.5 * MIB).equals(Buffer.alloc(2.5 * MIB))).toBe(true);
    expect([bytes[511], bytes[512 + 2.5 * MIB]]).toEqual([0xaa, 0xaa]);
  });

  test('keeps the space of a range that is zeroed and may not go', async () => {
    await using disk = await RawFile.open(path);
    const before = statSync(path).blocks;
    await disk.writeZeroes(0, SIZE, false);

    expect(statSync(path).blocks).toBe(before);
  });

  test('has one writer and no readers beside it', async () => {
    await using writer = await RawFile.open(path);

    await expect(RawFile.open(path)).rejects.toMatchObject({ code: 'IN_USE' });
    await expect(RawFile.open(path, { readOnly: true })).rejects.toThrow(`the disk image ${path} is being written to`);
    await writer.flush();
  });

  test('has many readers and no writer beside them', async () => {
    await using first = await RawFile.open(path, { readOnly: true });
    await using second = await RawFile.open(path, { readOnly: true });

    expect([first.readOnly, second.canDiscard]).toEqual([true, false]);
    await expect(RawFile.open(path)).rejects.toMatchObject({ code: 'IN_USE' });
  });

  test('is free for others once it is disposed', async () => {
    await (await RawFile.open(path))[Symbol.asyncDispose]();
    await using next = await RawFile.open(path);

    expect(next.size).toBe(SIZE);
  });

  test('that was truncated fails to read what is gone', async () => {
    await using disk = await RawFile.open(path, { readOnly: true });
    truncateSync(path, 1024);

    await expect(disk.read(512, [new Uint8Array(1024)])).rejects.toMatchObject({ code: 'TRUNCATED' });
  });

  test('is closed when all that was in flight is done, and takes no more', async () => {
    const disk = await RawFile.open(path);
    const order: string[] = [];
    const operations = [
      disk.read(0, [new Uint8Array(SIZE)]).then(() => order.push('read')),
      disk.write(0, [new Uint8Array(SIZE)]).then(() => order.push('write')),
      ...Array.from({ length: 62 }, (_, index) => disk.discard(index * 4096, 4096).then(() => order.push('discard'))),
    ];
    const disposals = [disk[Symbol.asyncDispose](), disk[Symbol.asyncDispose]()];
    const late = disk.flush();
    await expect(late).rejects.toMatchObject({ code: 'CLOSED' });
    await Promise.all(disposals);
    order.push('closed');
    await Promise.all(operations);

    expect(order).toHaveLength(65);
    expect(order.at(-1)).toBe('closed');
  });

  test('reads into mapped memory, which may be unmapped once the image is disposed', async () => {
    using memfd = createMemfd('raw-file-test', SIZE);
    using memory = mapShared(memfd.fd, SIZE, 'test memory');
    {
      await using disk = await RawFile.open(path);
      void disk.read(0, [memory.bytes]);
    }

    expect(Buffer.from(memory.bytes).equals(readFileSync(path))).toBe(true);
  });

  test('serves a guest, its errors included', async () => {
    await using disk = await RawFile.open(path);
    const guest = new BlockGuest({ backend: disk });
    const queue = guest.machine.driver.queue(0);
    const data = Uint8Array.from({ length: 4096 }, (_, index) => index % 253);
    guest.submit(VIRTIO_BLK_T_OUT, 9n, { read: data.subarray(0, 1000) }, { read: data.subarray(1000) });
    await guest.device.idle();
    guest.submit(VIRTIO_BLK_T_IN, 9n, { write: 3000 }, { write: 1096 });
    await guest.device.idle();
    truncateSync(path, 512);
    guest.submit(VIRTIO_BLK_T_IN, 9n, { write: 512 });
    await guest.device.idle();
    const [written, read, failed] = queue.takeUsed();

    expect(written?.bytes).toEqual(Uint8Array.of(VIRTIO_BLK_S_OK));
    expect(read?.bytes).toEqual(Uint8Array.of(...data, VIRTIO_BLK_S_OK));
    expect([failed?.written, failed?.room.at(-1)]).toEqual([0, VIRTIO_BLK_S_IOERR]);
    expect(guest.errors).toEqual([expect.objectContaining({ code: 'TRUNCATED' })]);
  });

  test.each([0, 513])('of %i bytes is refused', async (size) => {
    writeFileSync(path, Buffer.alloc(size));

    await expect(RawFile.open(path, { readOnly: true })).rejects.toMatchObject({ code: 'SIZE' });
  });

  test('that is no file, or not there, is refused', async () => {
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);

    await expect(RawFile.open(directory, { readOnly: true })).rejects.toMatchObject({ code: 'NOT_A_DISK' });
    await expect(RawFile.open(fifo, { readOnly: true })).rejects.toMatchObject({ code: 'NOT_A_DISK' });
    await expect(RawFile.open(`${path}x`)).rejects.toMatchObject({ code: 'OPEN' });
  });
});
