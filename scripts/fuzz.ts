// npm run fuzz [-- --device NAME] [--seconds N | --runs N] [--seed S] | --replay FILE: hostile guests for as long as wanted.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readCase, writeCase } from '../test/hostile/case-file.ts';
import { SUBJECTS } from '../test/hostile/subjects.ts';
import { type FuzzLimits, fuzz, replay } from './lib/fuzz.ts';
import { buildDirectory } from './lib/paths.ts';
import { reportFailure } from './lib/report.ts';

const NAMES = SUBJECTS.map(({ name }) => name);
const USAGE = `usage: npm run fuzz [-- --device NAME] [--seconds N | --runs N] [--seed S]
       npm run fuzz -- --replay FILE
devices: ${NAMES.join('; ')} (default: all, in turn)
Runs random programs of a hostile guest until one does what no guest must achieve (status 1; the smallest such program is
left in a file), or until the limit (default: 60 seconds). A seed gives the same programs again.
`;
const DEFAULT_SECONDS = 60;
const PROGRESS_INTERVAL_MS = 2000;

type Request =
  | { readonly kind: 'replay'; readonly file: string }
  | { readonly kind: 'fuzz'; readonly device: string | undefined; readonly seed: number; readonly limits: FuzzLimits };

function parse(): Request | undefined {
  const text = { type: 'string' } as const;
  try {
    const options = { device: text, seconds: text, runs: text, seed: text, replay: text };
    const { device, replay: file, ...numbers } = parseArgs({ options }).values;
    const [seconds, runs, seed] = [numbers.seconds, numbers.runs, numbers.seed].map((value) =>
      value === undefined ? undefined : Number(value),
    );
    if ([seconds, runs, seed].some((value) => value !== undefined && !(Number.isFinite(value) && value >= 0))) {
      return undefined;
    }
    if (device !== undefined && !NAMES.includes(device)) return undefined;
    if (file !== undefined) return { kind: 'replay', file };
    const limited = seconds ?? (runs === undefined ? DEFAULT_SECONDS : undefined);
    return {
      kind: 'fuzz',
      device,
      seed: (seed ?? Math.trunc(Math.random() * 2 ** 31)) | 0,
      limits: { runs, durationMs: limited === undefined ? undefined : limited * 1000 },
    };
  } catch {
    return undefined;
  }
}

async function runFuzz({ device, seed, limits }: Extract<Request, { kind: 'fuzz' }>): Promise<void> {
  const subjects = SUBJECTS.filter(({ name }) => device === undefined || name === device);
  process.stdout.write(`seed ${seed}: ${subjects.map(({ name }) => name).join('; ')}\n`);
  const begin = performance.now();
  let shown = begin;
  const outcome = await fuzz(subjects, seed, limits, (progress) => {
    const now = performance.now();
    if (now - shown < PROGRESS_INTERVAL_MS) return;
    shown = now;
    const perSecond = Math.round(progress.programs / ((now - begin) / 1000));
    process.stdout.write(`${progress.programs} programs, ${perSecond}/s, ${progress.resets} resets needed\n`);
  });
  if (outcome.found === undefined) {
    process.stdout.write(`${outcome.programs} programs, ${outcome.resets} resets needed, nothing found\n`);
    return;
  }
  const folder = join(buildDirectory, 'fuzz');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${outcome.found.device.replaceAll(/\W+/g, '-')}-${outcome.found.seed >>> 0}.json`);
  writeCase(path, outcome.found);
  process.stdout.write(`${outcome.found.violation}\nseed ${outcome.found.seed}\n`);
  process.stdout.write(`${outcome.found.program.length} steps in ${path}: npm run fuzz -- --replay ${path}\n`);
  process.exitCode = 1;
}

async function runReplay(file: string): Promise<void> {
  const { device, program } = readCase(file);
  const subject = SUBJECTS.find(({ name }) => name === device);
  if (subject === undefined) throw new Error(`${file} is a case of "${device}", and there are: ${NAMES.join('; ')}`);
  for (const [index, step] of program.entries()) process.stdout.write(`${index} ${JSON.stringify(step)}\n`);
  const violation = await replay(subject, program);
  process.stdout.write(`${violation ?? 'nothing is violated any more'}\n`);
  if (violation !== undefined) process.exitCode = 1;
}

async function main(): Promise<void> {
  const request = parse();
  if (request === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = process.argv.includes('--help') ? 0 : 2;
    return;
  }
  if (request.kind === 'replay') await runReplay(request.file);
  else await runFuzz(request);
}

await main().catch(reportFailure);
