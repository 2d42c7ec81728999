import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Resources } from '../oci/update-merge.ts';
import { findInstallation } from './installation.ts';
import { largerOf, resizeVm, sameSize, shortfalls, sizesForUpdate, smallerOf } from './update-size.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'update-size-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 2 ** 20;
const KEPT: Resources = { memory: { limit: 64 * MIB }, cpu: { quota: 50_000, period: 100_000 } };

/** Sizes for a container in a VM of 97 MiB, by a configuration of this text. */
async function sizes(update: Resources, text = '', annotations: Record<string, string> = {}) {
  const config = join(folder, 'config.toml');
  writeFileSync(config, text);
  const record = { annotations, resources: KEPT, vmMemoryMib: 97 };
  return await sizesForUpdate({ installation: findInstallation(), config }, record, update, { ...KEPT, ...update });
}

test('a VM becomes as big as one that is made with the new limits', async () => {
  const change = await sizes({ memory: { limit: 512 * MIB } });

  expect(change).toEqual({ before: { memoryMib: 97, cpus: 1 }, after: { memoryMib: 586, cpus: 1 } });
});

test('... by the configuration and the annotations of its container', async () => {
  const text = 'guest_memory_overhead = 10\nenable_annotations = ["guest_memory_overhead"]';

  const { after } = await sizes({ memory: { limit: 512 * MIB } }, text, { 'io.tskata.guest_memory_overhead': '100' });

  expect(after.memoryMib).toBe(686);
});

test('what is beyond its bounds is asked for all the same, so that it is told', async () => {
  const { after } = await sizes({ memory: { limit: 512 * MIB } }, 'default_maxmemory = 300');

  expect(after.memoryMib).toBe(586);
});

test('what an update is not about stays, whatever the configuration says now', async () => {
  const { before, after } = await sizes({ pids: { limit: 5 } }, 'guest_memory_overhead = 100');

  expect(after).toEqual(before);
});

test('on the way from one size to another a VM has the greater of each part, and then the smaller', () => {
  const [a, b] = [
    { memoryMib: 256, cpus: 4 },
    { memoryMib: 512, cpus: 1 },
  ];

  expect(largerOf(a, b)).toEqual({ memoryMib: 512, cpus: 4 });
  expect(smallerOf(a, b)).toEqual({ memoryMib: 256, cpus: 1 });
});

test('a VM that is to stay as it is is not asked', async () => {
  const change = sameSize({ vmMemoryMib: 300 });

  expect(await resizeVm('/nonexistent', change, change.after)).toEqual({ memoryMib: 300, cpus: 0 });
});

test('a VM that has less than goes with the limits is told of, part by part', () => {
  const size = { memoryMib: 300, cpus: 2 };

  expect(shortfalls(size, size)).toEqual([]);
  expect(shortfalls(size, { memoryMib: 301, cpus: 4 })).toEqual([
    expect.stringMatching(/^the virtual machine has 300 MiB and cannot have the 301 .* default_maxmemory, /),
    expect.stringMatching(/^the virtual machine has 2 processors and cannot have the 4 .* default_maxvcpus, /),
  ]);
});
