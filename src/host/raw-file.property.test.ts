import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CACHE_MODES, RawFile } from './raw-file.ts';

const SECTORS = 64;
const SECTOR_SIZE = 512;

const step = fc.record({
  kind: fc.constantFrom('read', 'write', 'zero', 'zero-or-discard', 'flush'),
  sector: fc.integer({ min: 0, max: SECTORS - 8 }),
  sectors: fc.integer({ min: 1, max: 8 }),
  fill: fc.integer({ min: 1, max: 255 }),
  cut: fc.integer({ min: 1, max: SECTOR_SIZE - 1 }),
});

const cases = [tmpdir(), '/dev/shm'].flatMap((parent) => CACHE_MODES.map((cache) => [parent, cache] as const));

test.each(cases)('an image in %s, cache %s, agrees with a model after any operations', async (parent, cache) => {
  const directory = mkdtempSync(join(parent, 'tskata-raw-'));
  const path = join(directory, 'disk.img');
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const model = new Uint8Array(SECTORS * SECTOR_SIZE);
        writeFileSync(path, model);
        await using disk = await RawFile.open(path, { cache });
        for (const { kind, sector, sectors, fill, cut } of steps) {
          const offset = sector * SECTOR_SIZE;
          const range = model.subarray(offset, offset + sectors * SECTOR_SIZE);
          const buffer = new Uint8Array(range.length).fill(fill);
          const buffers = [buffer.subarray(0, cut), buffer.subarray(cut)];
          switch (kind) {
            case 'read':
              await disk.read(offset, buffers);
              expect(buffer).toEqual(range);
              break;
            case 'write':
              await disk.write(offset, buffers);
              range.fill(fill);
              break;
            case 'flush':
              await disk.flush();
              break;
            default:
              await disk.writeZeroes(offset, range.length, kind === 'zero-or-discard');
              range.fill(0);
          }
        }
        expect(Buffer.compare(readFileSync(path), model)).toBe(0);
      }),
      { numRuns: 80 },
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
