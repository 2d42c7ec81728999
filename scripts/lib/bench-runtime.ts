// Runs on the host: verbs of the runtimes as whole processes, in turn, and what the life of a container costs the machine.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reportMarks, type StartReport, timelineRows, timelineTable } from '../../src/vmm/timeline.ts';
import { lifeOf, makeBundle, newId, RUNTIMES, TSKATA, timeCommand, timeLife } from './bench-containers.ts';
import { dockerRuns } from './bench-docker.ts';
import { runSuite, say, takeTurns } from './bench-suite.ts';
import type { Comparison } from './comparison.ts';
import { pinnedNode } from './paths.ts';
import { countWork, type Work } from './system-calls.ts';

/** Where `tskata` keeps what it knows of containers. */
const STATE_ROOT = '/run/tskata';
/** What no verb of a program for Node can do without. */
const BARE_NODE = { name: 'node -e 0', command: [pinnedNode, '-e', '0'] };

/** `--version` and `state`, beside a Node that does nothing. */
async function verbs(runs: number, bundle: string): Promise<Comparison[]> {
  const made = RUNTIMES.map(({ name, program }) => {
    const id = newId();
    timeCommand([program, 'create', '--bundle', bundle, id]);
    return { name, program, id };
  });
  try {
    const competitors = (args: (id: string) => string[]) => [
      ...made.map(({ name, program, id }) => ({ name, command: [program, ...args(id)] })),
      BARE_NODE,
    ];
    const compare = (title: string, args: (id: string) => string[]): Promise<Comparison[]> =>
      takeTurns(competitors(args), runs, { verb: { title, unit: 'ms' } }, async ({ command }) => ({
        verb: timeCommand(command),
      }));
    return [
      ...(await compare('--version', () => ['--version'])),
      ...(await compare('state of a container', (id) => ['state', id])),
    ];
  } finally {
    for (const { program, id } of made) timeCommand([program, 'delete', '--force', id]);
  }
}

async function lives(runs: number, bundle: string): Promise<Comparison[]> {
  const figures = {
    run: { title: 'run of /bin/true, as a whole process', unit: 'ms' },
    life: { title: 'create, start and delete of /bin/true, three processes', unit: 'ms' },
  };
  return await takeTurns(RUNTIMES, runs, figures, async (runtime) => ({
    run: timeCommand([runtime.program, 'run', '--bundle', bundle, newId()]),
    life: timeLife(runtime, bundle),
  }));
}

const COUNTED: readonly { readonly key: keyof Work; readonly title: string; readonly unit: string }[] = [
  { key: 'processes', title: 'create, start and delete: processes made', unit: 'processes' },
  { key: 'executions', title: 'create, start and delete: programs started', unit: 'programs' },
  { key: 'bytesWritten', title: 'create, start and delete: written to files, pipes and sockets', unit: 'bytes' },
];

/** The same life under strace: counts hardly vary, so one is enough. */
function counts(bundle: string, folder: string): Comparison[] {
  say('counting processes, programs and bytes');
  const counted = RUNTIMES.flatMap((runtime) => {
    const commands = lifeOf(runtime, bundle, newId()).map((command) => command.join(' '));
    const work = countWork(['/bin/sh', '-c', commands.join(' && ')], folder);
    return work === undefined ? [] : [{ name: runtime.name, work }];
  });
  if (counted.length === 0) return [];
  return COUNTED.map(({ key, title, unit }) => ({
    title,
    unit,
    entries: counted.map(({ name, work }) => ({ name, samples: [work[key]] })),
  }));
}

/** The moments of one start, from the command to the program's end. */
function whereTimeGoes(bundle: string): string[] {
  say('where the time of tskata goes');
  const id = newId();
  timeCommand([TSKATA, 'create', '--bundle', bundle, id]);
  timeCommand([TSKATA, 'start', id]);
  // The report is written when the sandbox ends, and goes with the container.
  const report = join(STATE_ROOT, id, 'report.json');
  while (!existsSync(report)) spawnSync('sleep', ['0.1']);
  const marks = reportMarks(JSON.parse(readFileSync(report, 'utf8')) as StartReport);
  timeCommand([TSKATA, 'delete', id]);
  return ['One start of tskata:', ...timelineTable(timelineRows(marks)).split('\n')];
}

await runSuite(async (runs, folder) => {
  const bundle = makeBundle(folder, { args: ['/bin/true'] });
  return {
    comparisons: [
      ...(await verbs(runs, bundle)),
      ...(await lives(runs, bundle)),
      ...(await dockerRuns(RUNTIMES, runs, folder)),
      ...counts(bundle, folder),
    ],
    notes: whereTimeGoes(bundle),
  };
});
