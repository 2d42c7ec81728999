import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { VIRTIO_BLK_T_GET_ID } from '../../devices/virtio/abi.gen.ts';
import { requestHeader } from '../../devices/virtio/testing/block-guest.ts';
import { MockMachine } from '../../devices/virtio/testing/mock-driver.ts';
import { VmConfigError } from '../config-error.ts';
import { disk } from './disk.ts';
import type { BackendContext } from './kind.ts';

const ID_SIZE = 20;

/** What a guest is told that the disk on an image of this name is called. */
async function idOfImage(name: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'disk-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, name), new Uint8Array(4096));
  await using resources = new AsyncDisposableStack();
  const { driver } = new MockMachine(await disk.open({ path: join(folder, name) }, { resources } as BackendContext));
  driver.start();
  const queue = driver.queue(0);
  queue.push({ read: requestHeader(VIRTIO_BLK_T_GET_ID, 0n) }, { write: ID_SIZE + 1 });
  queue.kick();
  const id = queue.takeUsed()[0]?.room.subarray(0, ID_SIZE) ?? [];
  return Buffer.from(id).toString('latin1').replaceAll('\0', '');
}

describe('--disk', () => {
  test.each([
    ['root.img', 'root.img'],
    ['a name longer than any disk has', 'a name longer than a'],
    ['Größe 😀.img', 'Gr__e _.img'],
  ])('on the file %s has the id %j', async (name, id) => {
    expect(await idOfImage(name)).toBe(id);
  });

  test.each(['x'.repeat(ID_SIZE + 1), 'Größe'])('with the id %s is refused', (id) => {
    expect(() => disk.check({ path: '/srv/disk', id })).toThrow(VmConfigError);
  });
});
