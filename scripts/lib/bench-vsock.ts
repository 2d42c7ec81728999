// Runs on the host: bytes between the guest's first program and a program on the host, over vsock.
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurns } from './bench-suite.ts';
import { frequency, type Guest, measureInGuest, microvm, rate, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const GUEST: Guest = { initrd: BENCH_INITRAMFS, memoryMib: 128, parameters: 'bench=vsock size=32 count=100' };
const COMPETITORS = [tsvm('tsvm'), microvm('QEMU microvm (vhost)')];

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const comparisons = await takeTurns(
    COMPETITORS,
    runs,
    {
      toHost: { title: 'guest to host', unit: 'MiB/s', better: 'more' },
      toGuest: { title: 'host to guest', unit: 'MiB/s', better: 'more' },
      roundTrips: { title: 'round trips of one byte', unit: 'ops/s', better: 'more' },
    },
    async (competitor) => {
      const found = await measureInGuest(competitor, GUEST, { folder, guestCid: 5 });
      return {
        toHost: rate(found.get('guest-to-host')),
        toGuest: rate(found.get('host-to-guest')),
        roundTrips: frequency(found.get('round-trips')),
      };
    },
  );
  return { comparisons };
});
