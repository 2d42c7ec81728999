// Runs on the host: `RUNTIME run` of a bundle whose program ends at once, as whole processes, the runtimes in turn.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSuite, takeTurns } from './bench-suite.ts';
import { buildDirectory } from './paths.ts';

const TSKATA = join(buildDirectory, 'bin/tskata');
const PEERS = [['/usr/sbin/runc', '/usr/bin/runc'], ['/usr/bin/crun']].flatMap(
  (places) => places.find((path) => existsSync(path)) ?? [],
);

function makeBundle(folder: string): string {
  const bundle = mkdtempSync(join(folder, 'bundle-'));
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

await runSuite(async (runs, folder) => {
  const bundle = makeBundle(folder);
  const programs = [TSKATA, ...PEERS].map((program) => ({ program, name: program.split('/').at(-1) ?? program }));
  const figures = { run: { title: 'run of /bin/true, create to delete, as whole processes', unit: 'ms' } };
  return {
    comparisons: await takeTurns(programs, runs, figures, async ({ program }, turn) => ({
      run: timeOnce(program, bundle, turn),
    })),
  };
});
