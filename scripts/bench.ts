// npm run bench [-- SUITE...] [--runs N] [--others N]: measures this project beside its peers, all in one run on one host, taking turns.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBenchPrograms } from '../test/bench/programs.ts';
import { buildAll, productBuilds } from './lib/artefacts.ts';
import { collector } from './lib/collector.ts';
import { comparisonSvg, comparisonTable, type SuiteResult } from './lib/comparison.ts';
import { chooseHost, DEFAULT_SIZE, describeHost, type HostKind, runOnHost } from './lib/host.ts';
import type { MachineSize } from './lib/host-machine.ts';
import { buildDirectory, pinnedNode, projectDirectory } from './lib/paths.ts';
import { reportFailure } from './lib/report.ts';

interface Suite {
  readonly what: string;
  /** How often unless told. */
  readonly runs: number;
  /** The program that starts it when it needs surroundings of its own. */
  readonly through?: readonly string[];
  /** Whether it is also run where time is a count of instructions. */
  readonly isCounted?: boolean;
  /** Size of the emulated host, if not the usual one. */
  readonly size?: (others: number) => MachineSize;
}

/** What a container that does nothing takes of the host, its VM and the processes around it among it, MiB. */
const IDLE_CONTAINER_MIB = 60;

const COUNTING_SIZE: MachineSize = { ...DEFAULT_SIZE, countsInstructions: true };

const SUITES: Readonly<Record<string, Suite>> = {
  runtime: { what: 'verbs of tskata, and the life of a container, beside runc and crun', runs: 5 },
  crowd: {
    what: 'the life of a container beside many others, and what each of these takes, tskata, runc and crun',
    runs: 3,
    size: (others) => ({ ...DEFAULT_SIZE, memoryMib: DEFAULT_SIZE.memoryMib / 2 + others * IDLE_CONTAINER_MIB }),
  },
  boot: { what: "start of tsvm to the guest's agent, and exits, beside QEMU's microvm", runs: 5, isCounted: true },
  restore: { what: "tsvm restore of a snapshot beside a boot, and beside QEMU's", runs: 5, isCounted: true },
  memory: { what: "memory of tsvm besides the guest's, for one VM and ten, beside QEMU's microvm", runs: 3 },
  block: { what: "disks of tsvm beside QEMU's microvm", runs: 3 },
  vsock: { what: "streams between guest and host, tsvm beside QEMU's microvm", runs: 3 },
  net: { what: "TCP between guest and host, tsvm beside QEMU's microvm", runs: 3, through: ['unshare', '--net', '--'] },
  fs: { what: "shared folders, tsvm beside QEMU's microvm", runs: 3 },
};
const NAMES = Object.keys(SUITES);
const DEFAULT_OTHERS = 20;
const USAGE = `usage: npm run bench [-- SUITE...] [--runs N] [--others N]
suites (default: all):
${NAMES.map((name) => `  ${name.padEnd(9)}${SUITES[name]?.what} (${SUITES[name]?.runs} runs)`).join('\n')}
--others N  how many containers run beside the measured one at last (crowd; default ${DEFAULT_OTHERS}); each takes about
            ${IDLE_CONTAINER_MIB} MiB, by which the emulated host becomes bigger
Medians of N runs each, the competitors in turn. On an emulated host only the ratios and the counts mean anything.
docs/benchmarks.md tells what is measured and how.
`;

/** Runs a suite's script on the host. */
async function runScript(
  kind: HostKind,
  suite: string,
  args: readonly string[],
  size?: MachineSize,
): Promise<SuiteResult> {
  const script = join(projectDirectory, 'scripts/lib', `bench-${suite}.ts`);
  const { stream: stdout, bytes } = collector();
  const command = [...(SUITES[suite]?.through ?? []), pinnedNode, script, ...args];
  const status = await runOnHost({ command, stdin: 'none', kind, stdout, ...(size === undefined ? {} : { size }) });
  if (status !== 0) throw new Error(`the benchmark ${suite} ended with status ${status}`);
  return JSON.parse(bytes().toString());
}

async function bench(suite: string, runs: number, others: number): Promise<void> {
  const host = await chooseHost();
  process.stderr.write(`tskata: ${suite}: ${describeHost(host)}\n`);
  const isEmulated = host.kind === 'emulated';
  if (isEmulated) await buildAll(['host']);
  const results = [await runScript(host.kind, suite, [String(runs), String(others)], SUITES[suite]?.size?.(others))];
  if (isEmulated && SUITES[suite]?.isCounted === true) {
    process.stderr.write(`tskata: ${suite}: once more, on a host whose clock counts instructions\n`);
    results.push(await runScript(host.kind, suite, [String(runs), '--counted'], COUNTING_SIZE));
  }
  const comparisons = results.flatMap((result) => result.comparisons);
  const notes = results.flatMap((result) => result.notes ?? []);
  const folder = join(buildDirectory, 'bench');
  mkdirSync(folder, { recursive: true });
  const [json, picture] = [join(folder, `${suite}.json`), join(folder, `${suite}.svg`)];
  writeFileSync(json, `${JSON.stringify({ comparisons, notes }, null, 2)}\n`);
  writeFileSync(picture, comparisonSvg(comparisons));
  const parts = [...comparisons.map(comparisonTable), ...(notes.length > 0 ? [notes.join('\n')] : [])];
  process.stdout.write(`\n${parts.join('\n\n')}\n\n${json}\n${picture}\n`);
}

interface Request {
  readonly suites: readonly string[];
  readonly runs: number | undefined;
  readonly others: number;
}

function parse(): Request | undefined {
  try {
    const options = { runs: { type: 'string' }, others: { type: 'string' }, help: { type: 'boolean' } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const runs = values.runs === undefined ? undefined : Number(values.runs);
    const others = Number(values.others ?? DEFAULT_OTHERS);
    const known = positionals.every((name) => NAMES.includes(name));
    const valid = [runs ?? 1, others].every((number) => Number.isInteger(number) && number > 0);
    if (values.help === true || !known || !valid) return undefined;
    return { suites: positionals.length > 0 ? positionals : NAMES, runs, others };
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const request = parse();
  if (request === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = process.argv.includes('--help') ? 0 : 2;
    return;
  }
  await buildAll(productBuilds);
  await buildBenchPrograms();
  for (const suite of request.suites) await bench(suite, request.runs ?? SUITES[suite]?.runs ?? 1, request.others);
}

await main().catch(reportFailure);
