// Runs on the host: what a VMM takes besides its guest's memory, for one VM and for each of ten.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryBesideGuest } from './bench-smaps.ts';
import { runSuite, say, takeTurns } from './bench-suite.ts';
import { AGENT_INITRAMFS, type Competitor, type Guest, microvm, RunningVm, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const GUEST: Guest = { initrd: AGENT_INITRAMFS, memoryMib: 64 };
const MANY = 10;
const FIRST_CID = 10;
/** After the last guest's first word, until everything is idle. */
const SETTLE_MS = 3000;

/** A process and all that it started. */
function family(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name): [number, number] => {
      try {
        // proc(5): the name, in parentheses, may hold anything
        return [Number(name), Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1])];
      } catch {
        return [Number(name), 0];
      }
    });
  const children = (parent: number): number[] => parents.filter(([, of]) => of === parent).map(([child]) => child);
  const found = [pid];
  for (const member of found) found.push(...children(member));
  return found;
}

/** Starts `count` VMs, waits until all are idle. @returns proportional and anonymous memory per VM, MiB */
async function measure(
  competitor: Competitor,
  count: number,
  folder: string,
): Promise<{ pss: number; anonymous: number }> {
  await using vms = new AsyncDisposableStack();
  const started: RunningVm[] = [];
  for (let index = 0; index < count; index++) {
    const place = { folder, guestCid: FIRST_CID + index };
    const where = competitor.listen(place);
    // vhost-vsock's ports are the host's anonymous: the first waits for all guests.
    const shared = where === 'vsock' && index > 0;
    const vm = vms.use(new RunningVm(competitor, GUEST, place, shared ? [] : [where]));
    started.push(vm);
    await (shared ? started[0]?.line('connected', index + 1) : vm.line('connected'));
  }
  await sleep(SETTLE_MS);
  const pids = (await Promise.all(started.map((vm) => vm.pid()))).flatMap(family);
  const found = pids.map((pid) => memoryBesideGuest(readFileSync(`/proc/${pid}/smaps`, 'utf8'), GUEST.memoryMib));
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / count / 1024;
  return {
    pss: total(found.map(({ pssKib }) => pssKib)),
    anonymous: total(found.map(({ anonymousKib }) => anonymousKib)),
  };
}

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const competitors = [tsvm('tsvm'), microvm('QEMU microvm')];
  const comparisons = await takeTurns(
    competitors,
    runs,
    {
      pss: { title: 'one VM: proportional memory (PSS) besides the guest’s', unit: 'MiB' },
      anonymous: { title: 'one VM: memory besides the guest’s that no file holds', unit: 'MiB' },
    },
    (competitor) => measure(competitor, 1, folder),
  );
  say(`${MANY} VMs at once`);
  const many = await takeTurns(
    competitors,
    1,
    {
      pss: { title: `each of ${MANY} VMs: proportional memory (PSS) besides the guest’s`, unit: 'MiB' },
      anonymous: { title: `each of ${MANY} VMs: memory besides the guest’s that no file holds`, unit: 'MiB' },
    },
    (competitor) => measure(competitor, MANY, folder),
  );
  return {
    comparisons: [...comparisons, ...many],
    notes: [
      `Guests of ${GUEST.memoryMib} MiB, idle; helper processes count; the kernel's own memory for them does not.`,
    ],
  };
});
