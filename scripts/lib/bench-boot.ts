// Runs on the host: how long from the start of the VMM's program until the guest's first program reaches the host.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StartReport } from '../../src/vmm/timeline.ts';
import { runSuite, say, takeTurns } from './bench-suite.ts';
import { AGENT_INITRAMFS, type Competitor, type Guest, microvm, type Place, RunningVm, tsvm } from './bench-vm.ts';
import { median, type SuiteResult } from './comparison.ts';

const GUEST: Guest = { initrd: AGENT_INITRAMFS, memoryMib: 128 };
/** Counts hardly vary. */
const COUNTED_RUNS = 3;
const TRACING = '/sys/kernel/tracing';
const TRACEPOINT = `${TRACING}/events/kvm/kvm_userspace_exit`;

/** Counts the exits of all VMs to their VMMs, by the kernel's own tracepoint. */
class ExitMeter implements Disposable {
  static open(): ExitMeter | undefined {
    if (!existsSync(TRACEPOINT)) {
      try {
        execFileSync('mount', ['-t', 'tracefs', 'tracefs', TRACING], { stdio: 'ignore' });
      } catch {
        return undefined;
      }
    }
    if (!existsSync(TRACEPOINT)) return undefined;
    return new ExitMeter();
  }

  private constructor() {
    writeFileSync(`${TRACEPOINT}/trigger`, 'hist:keys=reason');
  }

  total(): number {
    return Number(/Hits: (\d+)/.exec(readFileSync(`${TRACEPOINT}/hist`, 'utf8'))?.[1]);
  }

  [Symbol.dispose](): void {
    writeFileSync(`${TRACEPOINT}/trigger`, '!hist:keys=reason');
  }
}

async function timeOnce(competitor: Competitor, place: Place): Promise<number> {
  await using vm = new RunningVm(competitor, GUEST, place);
  return await vm.connectedMs();
}

/** Exits to the VMM until the agent has reached the host; undefined where the kernel has no such tracepoint. */
async function countExits(competitor: Competitor, place: Place): Promise<number | undefined> {
  using meter = ExitMeter.open();
  if (meter === undefined) return undefined;
  const before = meter.total();
  await using vm = new RunningVm(competitor, GUEST, place);
  await vm.connectedMs();
  return meter.total() - before;
}

/** Where the time of `tsvm boot` goes, by its own report: medians of a few starts, one line a span. */
async function spans(place: Place, runs: number): Promise<string[]> {
  const path = join(place.folder, 'report.json');
  const names = [
    'process made',
    'Node and modules started, VM built, kernel in its memory',
    'vCPU entered',
    'kernel to agent',
  ];
  const samples = names.map((): number[] => []);
  for (let run = 0; run < runs; run++) {
    let [started, connected] = [0, 0];
    {
      await using vm = new RunningVm(tsvm('tsvm', { devices: () => ['--report', path] }), GUEST, place);
      connected = await vm.connectedMs();
      started = Number(await vm.startedNs()) / 1e6;
    }
    const report: StartReport = JSON.parse(readFileSync(path, 'utf8'));
    const at = ['command-start', 'vm-start', 'kernel-entry'].map(
      (name) => Number(report.marks.find((mark) => mark.name === name)?.monotonicNs) / 1e6 - started,
    );
    const edges = [0, ...at, connected];
    for (const [index, list] of samples.entries()) list.push((edges[index + 1] ?? 0) - (edges[index] ?? 0));
  }
  return names.map((name, index) => `tsvm: ${name}: ${median(samples[index] ?? []).toFixed(0)} ms`);
}

/** On a host whose clock counts instructions. */
async function instructions(competitors: readonly Competitor[], place: Place): Promise<SuiteResult> {
  const comparisons = await takeTurns(
    competitors,
    COUNTED_RUNS,
    { count: { title: 'instructions until then, the guest’s and the host kernel’s included', unit: 'M' } },
    async (competitor) => ({ count: await timeOnce(competitor, place) }),
  );
  return { comparisons };
}

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const place: Place = { folder, guestCid: 5 };
  const competitors = [tsvm('tsvm'), microvm('QEMU microvm')];
  if (process.argv.includes('--counted')) return await instructions(competitors, place);
  const [start] = await takeTurns(
    competitors,
    runs,
    { start: { title: 'start of the program to the first word of the guest’s agent', unit: 'ms' } },
    async (competitor) => ({ start: await timeOnce(competitor, place) }),
  );
  say('counting exits');
  const exits: { name: string; samples: number[] }[] = [];
  for (const competitor of competitors) {
    const count = await countExits(competitor, place);
    if (count !== undefined) exits.push({ name: competitor.name, samples: [count] });
  }
  say('reading where the time goes');
  const counted = exits.length === 0 ? [] : [{ title: 'exits to the VMM until then', unit: 'exits', entries: exits }];
  return {
    comparisons: [...(start === undefined ? [] : [start]), ...counted],
    notes: await spans(place, Math.min(runs, 3)),
  };
});
