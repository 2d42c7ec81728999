// Runs on the host: a disk in memory, read and written by the guest's first program.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurnsEach } from './bench-suite.ts';
import { type Competitor, frequency, type Guest, measureInGuest, microvm, type Place, rate, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const DISK_MIB = 64;
const RANDOM_READS = 200;
const GUEST: Guest = {
  initrd: BENCH_INITRAMFS,
  memoryMib: 256,
  parameters: `bench=block size=${DISK_MIB} count=${RANDOM_READS}`,
};

type Format = 'raw' | 'qcow2';

function disk({ folder }: Place, format: Format): string {
  return join(folder, `disk.${format}`);
}

function competitors(format: Format): Competitor[] {
  return [
    tsvm('tsvm', { devices: (place) => ['--disk', `${disk(place, format)},format=${format}`] }),
    microvm('QEMU microvm', {
      devices: (place) => [
        ...['-drive', `file=${disk(place, format)},format=${format},if=none,id=disk`],
        ...['-device', 'virtio-blk-device,drive=disk'],
      ],
    }),
  ];
}

const WAYS = { 'raw image': competitors('raw'), 'qcow2 image': competitors('qcow2') };

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const place: Place = { folder, guestCid: 5 };
  writeFileSync(disk(place, 'raw'), Buffer.alloc(DISK_MIB * 2 ** 20, 1));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk(place, 'raw'), disk(place, 'qcow2')]);
  const more = { unit: 'MiB/s', better: 'more' } as const;
  const comparisons = await takeTurnsEach(
    WAYS,
    runs,
    {
      read: { title: 'sequential read through the page cache, read-ahead on', ...more },
      directRead: { title: 'sequential read past the page cache, 1 MiB at a time', ...more },
      directWrite: { title: 'sequential write past the page cache, 1 MiB at a time, and fsync', ...more },
      randomRead: { title: 'random reads of 4 KiB, one at a time', unit: 'ops/s', better: 'more' },
    },
    async (competitor) => {
      const found = await measureInGuest(competitor, GUEST, place);
      return {
        read: rate(found.get('sequential-read')),
        directRead: rate(found.get('direct-read')),
        directWrite: rate(found.get('direct-write')),
        randomRead: frequency(found.get('random-read')),
      };
    },
  );
  return { comparisons };
});
