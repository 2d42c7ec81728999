// Runs on the host: a disk in memory, read and written by the guest's first program.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurns } from './bench-suite.ts';
import { frequency, type Guest, measureInGuest, microvm, type Place, rate, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const DISK_MIB = 64;
const RANDOM_READS = 200;
const GUEST: Guest = {
  initrd: BENCH_INITRAMFS,
  memoryMib: 256,
  parameters: `bench=block size=${DISK_MIB} count=${RANDOM_READS}`,
};

function disk({ folder }: Place): string {
  return join(folder, 'disk.raw');
}

const COMPETITORS = [
  tsvm('tsvm', { devices: (place) => ['--disk', disk(place)] }),
  microvm('QEMU microvm', {
    devices: (place) => [
      ...['-drive', `file=${disk(place)},format=raw,if=none,id=disk`],
      ...['-device', 'virtio-blk-device,drive=disk'],
    ],
  }),
];

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const place: Place = { folder, guestCid: 5 };
  writeFileSync(disk(place), Buffer.alloc(DISK_MIB * 2 ** 20, 1));
  const more = { unit: 'MiB/s', better: 'more' } as const;
  const comparisons = await takeTurns(
    COMPETITORS,
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
