import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { duplicateFd, OwnedFd, punchHole, tryLock, unlock, zeroRange } from './fd.unsafe.ts';
import { blockDeviceSize } from './ioctl.unsafe.ts';
import { SystemError } from './system-error.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-fd-'));
  path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(8192, 1));
});

afterEach(() => rmSync(folder, { recursive: true }));

test('an exclusive lock keeps others away until it is given back', () => {
  using first = new OwnedFd(openSync(path, 'r+'));
  using second = new OwnedFd(openSync(path, 'r+'));

  const attempts = [tryLock(first.fd, 'exclusive'), tryLock(second.fd, 'shared')];
  unlock(first.fd);
  attempts.push(tryLock(second.fd, 'shared'));

  expect(attempts).toEqual([true, false, true]);
});

test('a duplicate outlives its original', () => {
  const original = openSync(path, 'r');
  using duplicate = duplicateFd(new OwnedFd(original).fd);

  closeSync(original);

  expect(readFileSync(duplicate.fd)).toHaveLength(8192);
});

test('a range that cannot be changed says why', async () => {
  using file = new OwnedFd(openSync(path, 'r'));

  await expect(punchHole(file.fd, 0, 4096)).rejects.toThrow(`fallocate(PUNCH_HOLE) on fd ${file.fd} failed with EBADF`);
});

test('a zeroed range reads as zeros and keeps its space', async () => {
  using file = new OwnedFd(openSync(path, 'r+'));
  const blocks = fstatSync(file.fd).blocks;

  await zeroRange(file.fd, 4096, 4096);

  expect(readFileSync(path).subarray(4096)).toEqual(Buffer.alloc(4096));
  expect(fstatSync(file.fd).blocks).toBe(blocks);
});

test('a punched hole reads as zeros and keeps the size', async () => {
  using file = new OwnedFd(openSync(path, 'r+'));

  await punchHole(file.fd, 4096, 4096);

  expect(readFileSync(path)).toEqual(Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(4096)]));
});

test('any number of ranges can be changed at a time', async () => {
  using file = new OwnedFd(openSync(join(folder, 'many'), 'w+'));

  const changes = Array.from({ length: 1000 }, (_, index) => punchHole(file.fd, 4096 * index, 4096));

  await expect(Promise.all(changes)).resolves.toHaveLength(1000);
});

test('a failed call names itself, its errno and what to do', () => {
  using file = new OwnedFd(openSync(path, 'r'));

  const failure = (): number => blockDeviceSize(file.fd);

  expect(failure).toThrow(SystemError);
  expect(failure).toThrow(`BLKGETSIZE64 on fd ${file.fd} failed with ENOTTY`);
  expect(new SystemError('open', 2, '/x')).toMatchObject({
    code: 'ENOENT',
    path: '/x',
    message: 'open on /x failed with ENOENT: check that it exists',
  });
});
