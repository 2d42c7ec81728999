import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCase, writeCase } from '../../test/hostile/case-file.ts';
import type { Subject } from '../../test/hostile/subject.ts';
import { rng } from '../../test/hostile/subjects/rng.ts';
import { batchSeed, fuzz, replay } from './fuzz.ts';

/** An entropy device that writes one byte into RAM that nobody offered, when the bell rings for queue 0. */
const broken: Subject = {
  ...rng,
  name: 'broken',
  create() {
    const tested = rng.create();
    const { device } = tested;
    const activate = device.activate.bind(device);
    device.activate = (context) => {
      const active = activate(context);
      return {
        queueNotified: (queue) => {
          context.memory.writeU8(0xfff, context.memory.readU8(0xfff) ^ 1);
          active.queueNotified?.(queue);
        },
        [Symbol.dispose]: () => active[Symbol.dispose](),
      };
    };
    return tested;
  },
};

test('finds a device that writes where it must not, makes the case small, and replays it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-test-'));
  const path = join(folder, 'case.json');

  const { found } = await fuzz([broken], 42, { runs: 500, durationMs: undefined }, () => {});
  if (found !== undefined) writeCase(path, found);
  const read = readCase(path);
  const again = await replay(broken, read.program);
  const elsewhere = await replay(rng, read.program);
  rmSync(folder, { recursive: true });

  expect(read.violation).toContain('guest address 0xfff');
  expect(read.program.length).toBeLessThanOrEqual(3);
  expect(again).toBe(read.violation);
  expect(elsewhere).toBeUndefined();
});

test('finds nothing in a device that is right, and counts', async () => {
  const progress: number[] = [];

  const outcome = await fuzz([rng], 7, { runs: 60, durationMs: undefined }, ({ programs }) => progress.push(programs));

  expect(outcome).toMatchObject({ programs: 60, seed: 7, found: undefined });
  expect(progress).toEqual([60]);
});

test('no two batches have the same seed', () => {
  const seeds = Array.from({ length: 1000 }, (_, batch) => batchSeed(5, batch));

  expect(new Set(seeds).size).toBe(1000);
});

test('a file that is no case is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-test-'));
  const path = join(folder, 'case.json');
  writeFileSync(path, '{"device":"rng","seed":1,"violation":"","program":[7]}');

  expect(() => readCase(path)).toThrow('is no case of the fuzzer');
  rmSync(folder, { recursive: true });
});
