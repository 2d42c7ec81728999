// Runs on the host: bytes between the guest's first program and a program on the host, over vsock.
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurnsEach } from './bench-suite.ts';
import { frequency, type Guest, measureInGuest, microvm, rate, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const GUEST: Guest = { initrd: BENCH_INITRAMFS, memoryMib: 128, parameters: 'bench=vsock size=8 count=100' };
const WAYS = {
  'vsock in the VMM, beside the kernel’s': [tsvm('tsvm'), microvm('QEMU microvm, vhost')],
  'vsock in the kernel': [tsvm('tsvm, vhost', { vsock: 'kernel' }), microvm('QEMU microvm, vhost')],
};

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const comparisons = await takeTurnsEach(
    WAYS,
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
