// How a suite of benchmarks runs on the host: programs in memory, the competitors in turn, the result as JSON on stdout.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Comparison, SuiteResult } from './comparison.ts';
import { buildDirectory, pinnedNode } from './paths.ts';

/** Where sockets and mounts work, and files are memory. */
const SCRATCH = '/run';
const PROGRAMS = ['bin', 'dist', 'lib', 'guest', 'bench'];

/** A figure that each run of a competitor gives. */
export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly better?: 'less' | 'more';
}

/** Whoever takes part. */
interface Named {
  readonly name: string;
}

/** Reports on stderr what goes on. */
export function say(text: string): void {
  process.stderr.write(`tskata: ${text}\n`);
}

/**
 * In the emulated host the project's folder is on another machine, and each look at a file there is a journey that the peers'
 * programs do not make: this puts what was built into memory, at the same place.
 */
export function keepProgramsInMemory(): void {
  if (process.env['TSKATA_INSIDE_HOST'] !== '1') return;
  const copy = mkdtempSync(join(SCRATCH, 'bench-programs-'));
  for (const name of PROGRAMS.filter((entry) => existsSync(join(buildDirectory, entry)))) {
    cpSync(join(buildDirectory, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
  }
  execFileSync('mount', ['--bind', copy, buildDirectory]);
  // A file of its own too, so that no page of it counts as shared with the Node that runs the benchmark.
  const node = join(copy, 'node');
  cpSync(pinnedNode, node);
  execFileSync('mount', ['--bind', node, pinnedNode]);
}

/**
 * Runs `measure` for each competitor in turn, `runs` times after a round that fills caches and does not count.
 * @param measure one run: its figures by key
 */
export async function takeTurns<Competitor extends Named, Key extends string>(
  competitors: readonly Competitor[],
  runs: number,
  figures: Readonly<Record<Key, Figure>>,
  measure: (competitor: Competitor, turn: number) => Promise<Readonly<Record<Key, number>>>,
): Promise<Comparison[]> {
  const keys = Object.keys(figures) as Key[];
  const samples = keys.map(() => competitors.map((): number[] => []));
  for (let turn = 0; turn <= runs; turn++) {
    for (const [index, competitor] of competitors.entries()) {
      const found = await measure(competitor, turn);
      const text = keys.map((key) => `${key} ${found[key].toPrecision(3)} ${figures[key].unit}`).join(', ');
      say(`${competitor.name}, ${turn === 0 ? 'warm-up' : `run ${turn} of ${runs}`}: ${text}`);
      if (turn > 0) for (const [at, key] of keys.entries()) samples[at]?.[index]?.push(found[key]);
    }
  }
  return keys.map((key, at) => ({
    ...figures[key],
    entries: competitors.map(({ name }, index) => ({ name, samples: samples[at]?.[index] ?? [] })),
  }));
}

/**
 * `takeTurns` for each way of doing a thing, like with like.
 * @param ways the competitors by what stands at the head of the figures' titles
 */
export async function takeTurnsEach<Competitor extends Named, Key extends string>(
  ways: Readonly<Record<string, readonly Competitor[]>>,
  runs: number,
  figures: Readonly<Record<Key, Figure>>,
  measure: (competitor: Competitor, turn: number) => Promise<Readonly<Record<Key, number>>>,
): Promise<Comparison[]> {
  const found: Comparison[] = [];
  for (const [way, competitors] of Object.entries(ways)) {
    say(way);
    const comparisons = await takeTurns(competitors, runs, figures, measure);
    found.push(...comparisons.map((comparison) => ({ ...comparison, title: `${way}: ${comparison.title}` })));
  }
  return found;
}

/** Runs a suite in a folder of its own and prints its result. The first argument of the process is the number of runs. */
export async function runSuite(suite: (runs: number, folder: string) => Promise<SuiteResult>): Promise<void> {
  const folder = mkdtempSync(join(SCRATCH, 'bench-'));
  try {
    keepProgramsInMemory();
    const result = await suite(Number(process.argv[2] ?? '5'), folder);
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
