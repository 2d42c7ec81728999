// Runs on the host: `RUNTIME run` of a bundle whose program ends at once, as whole processes, the runtimes in turn.
// Arguments: the file for the result, and how often.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Comparison } from './comparison.ts';
import { buildDirectory } from './paths.ts';

const [resultPath = '', runCount = '5'] = process.argv.slice(2);
const TSKATA = join(buildDirectory, 'bin/tskata');
const PEERS = [['/usr/sbin/runc', '/usr/bin/runc'], ['/usr/bin/crun']].flatMap(
  (places) => places.find((path) => existsSync(path)) ?? [],
);
/** Where runtimes keep their state: mounts and sockets work there, and it is memory. */
const SCRATCH = '/run';

function makeBundle(): string {
  const bundle = mkdtempSync(join(SCRATCH, 'bench-'));
  spawnSync('cp', ['-a', join(buildDirectory, 'guest/rootfs'), join(bundle, 'rootfs')]);
  spawnSync(TSKATA, ['spec', '--bundle', bundle]);
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  config.process.terminal = false;
  config.process.args = ['/bin/true'];
  writeFileSync(path, JSON.stringify(config));
  return bundle;
}

function timeOnce(program: string, bundle: string, run: number): number {
  const startMs = performance.now();
  const { status, stderr } = spawnSync(program, ['run', '--bundle', bundle, `bench-${process.pid}-${run}`], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${program} run ended with status ${status}: ${stderr}`);
  return performance.now() - startMs;
}

const bundle = makeBundle();
try {
  const programs = [TSKATA, ...PEERS];
  const samples = new Map<string, number[]>(programs.map((program) => [program, []]));
  // The first round fills caches and does not count.
  for (let run = 0; run <= Number(runCount); run++) {
    for (const program of programs) {
      const elapsedMs = timeOnce(program, bundle, run);
      if (run > 0) samples.get(program)?.push(elapsedMs);
      process.stderr.write(`tskata: ${program} ${run === 0 ? 'warm-up' : `run ${run}`}: ${elapsedMs.toFixed(0)} ms\n`);
    }
  }
  const comparison: Comparison = {
    title: 'run of /bin/true, create to delete, as whole processes',
    unit: 'ms',
    entries: programs.map((program) => ({
      name: program.split('/').at(-1) ?? program,
      samples: samples.get(program) ?? [],
    })),
  };
  writeFileSync(resultPath, `${JSON.stringify(comparison, null, 2)}\n`);
} finally {
  rmSync(bundle, { recursive: true, force: true });
}
