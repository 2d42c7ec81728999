// Runs on the host: a folder in memory, shared with the guest by virtiofsd with the same options under both VMMs.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findVirtiofsd, virtiofsdCommand } from '../../src/host/virtiofsd.ts';
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurns } from './bench-suite.ts';
import {
  frequency,
  type Guest,
  measureInGuest,
  microvm,
  type Place,
  rate,
  SHARED_RAM,
  startHelper,
  tsvm,
} from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const TAG = 'bench';
const SIZE_MIB = 32;
const FILES = 100;
const GUEST: Guest = {
  initrd: BENCH_INITRAMFS,
  memoryMib: 256,
  parameters: `bench=fs size=${SIZE_MIB} count=${FILES}`,
};

function shared({ folder }: Place): string {
  return join(folder, 'shared');
}

function socket({ folder }: Place): string {
  return join(folder, 'virtiofsd.sock');
}

/** The virtiofsd of QEMU, with the options of the one that `tsvm` starts. */
function startVirtiofsd(place: Place): Promise<AsyncDisposable> {
  const fd = 3;
  const command = virtiofsdCommand({ directory: shared(place) }, findVirtiofsd(), fd);
  const listening = command.map((word) => (word === `--fd=${fd}` ? `--socket-path=${socket(place)}` : word));
  return startHelper(listening, socket(place));
}

const COMPETITORS = [
  tsvm('tsvm', { devices: (place) => ['--share', `${TAG}=${shared(place)}`] }),
  microvm('QEMU microvm', {
    helpers: startVirtiofsd,
    devices: (place, guest) => [
      ...SHARED_RAM(guest),
      ...['-chardev', `socket,id=fs,path=${socket(place)}`],
      ...['-device', `vhost-user-fs-device,chardev=fs,tag=${TAG}`],
    ],
  }),
];

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const place: Place = { folder, guestCid: 5 };
  const more = { better: 'more' } as const;
  const comparisons = await takeTurns(
    COMPETITORS,
    runs,
    {
      write: { title: 'sequential write, and fsync', unit: 'MiB/s', ...more },
      read: { title: 'sequential read', unit: 'MiB/s', ...more },
      create: { title: 'files created, 16 bytes each', unit: 'ops/s', ...more },
      list: { title: 'files listed and looked at', unit: 'ops/s', ...more },
      remove: { title: 'files removed', unit: 'ops/s', ...more },
    },
    async (competitor) => {
      rmSync(shared(place), { recursive: true, force: true });
      mkdirSync(shared(place));
      const found = await measureInGuest(competitor, GUEST, place);
      return {
        write: rate(found.get('sequential-write')),
        read: rate(found.get('sequential-read')),
        create: frequency(found.get('create')),
        list: frequency(found.get('list')),
        remove: frequency(found.get('remove')),
      };
    },
  );
  return { comparisons };
});
