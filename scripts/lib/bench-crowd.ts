// Runs on the host: the life of a container beside more and more others that do nothing, and what each of these takes.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { lifeOf, makeBundle, newId, RUNTIMES, type Runtime, timeCommand, timeLife } from './bench-containers.ts';
import { runSuite, say } from './bench-suite.ts';
import type { Comparison } from './comparison.ts';

/** What engines set as a limit where memory is dear. */
const MEMORY_MIB = 64;
/** How often the others become more until they are all there. */
const STEPS = 4;
/** After the last of them has started, until all of them do nothing. */
const SETTLE_MS = 3000;

function availableMib(): number {
  return Number(/^MemAvailable: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
}

/** What was found with one number of others. */
interface Stage {
  readonly others: number;
  /** Milliseconds, a value for each run. */
  readonly lives: readonly number[];
  /** What the host has less of for each of the others. */
  readonly eachMib: number;
}

async function crowd(runtime: Runtime, runs: number, others: number, folder: string): Promise<Stage[]> {
  const [idle, brief] = [['/bin/sleep', '1000000'], ['/bin/true']].map((args) =>
    makeBundle(folder, { args, memoryMib: MEMORY_MIB }),
  );
  const lives = (): number[] => Array.from({ length: runs }, () => timeLife(runtime, String(brief)));
  lives(); // fills caches
  const before = availableMib();
  const running: string[] = [];
  const stages: Stage[] = [];
  try {
    for (let step = 0; step <= STEPS; step++) {
      const wanted = Math.round((others * step) / STEPS);
      while (running.length < wanted) {
        const id = newId();
        running.push(id);
        const [create = [], start = []] = lifeOf(runtime, String(idle), id);
        const ms = timeCommand(create) + timeCommand(start);
        say(`${runtime.name}: container ${running.length} of ${others} runs after ${Math.round(ms)} ms`);
      }
      await sleep(SETTLE_MS);
      const eachMib = wanted === 0 ? 0 : (before - availableMib()) / wanted;
      stages.push({ others: wanted, lives: lives(), eachMib });
      const times = stages.at(-1)?.lives.map((ms) => `${Math.round(ms)} ms`);
      say(`${runtime.name}: beside ${wanted} others, each of ${eachMib.toFixed(1)} MiB: ${times?.join(', ')}`);
    }
  } finally {
    for (const id of running) timeCommand([runtime.program, 'delete', '--force', id]);
  }
  return stages;
}

await runSuite(async (runs, folder) => {
  const others = Number(process.argv[3]);
  const found: { name: string; stages: Stage[] }[] = [];
  for (const runtime of RUNTIMES) {
    found.push({ name: runtime.name, stages: await crowd(runtime, runs, others, folder) });
  }
  const lives = found.map(({ name, stages }): Comparison => {
    const entries = stages.map(({ others: count, lives: samples }) => ({ name: `beside ${count} others`, samples }));
    return { title: `${name}: create, start and delete of /bin/true`, unit: 'ms', entries };
  });
  const memory = found.map(({ name, stages }) => ({ name, samples: [stages.at(-1)?.eachMib ?? Number.NaN] }));
  return {
    comparisons: [
      ...lives,
      { title: `memory of the host for each of ${others} that do nothing`, unit: 'MiB', entries: memory },
    ],
    notes: [
      `Containers with a limit of ${MEMORY_MIB} MiB. Memory: what the host has available less, the kernel's part among it.`,
    ],
  };
});
