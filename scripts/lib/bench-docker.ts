// `docker run --rm` under each runtime, by a Docker daemon of our own, and what of its time the runtime's verbs take.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Figure, say, takeTurns } from './bench-suite.ts';
import type { Comparison } from './comparison.ts';
import { buildDirectory } from './paths.ts';

const DOCKERD = '/usr/sbin/dockerd';
const DOCKER = '/usr/bin/docker';
/** There is one network for containers on a host, and who runs there already has it. */
const OTHERS_PID = '/run/docker.pid';
const IMAGE = 'tskata-bench';
const READY_MS = 120_000;

const VERBS = ['create', 'start', 'delete'] as const;

interface Runtime {
  readonly name: string;
  readonly program: string;
}

/** Stands for a runtime, and notes when each of its verbs began and ended. */
function wrapper(program: string, log: string): string {
  return `#!/bin/sh
begin=$(date +%s%N)
${program} "$@"
status=$?
end=$(date +%s%N)
for word in "$@"; do
  case $word in ${VERBS.join('|')}) echo $word $begin $end >>${log}; break ;; esac
done
exit $status
`;
}

/** What each verb took since the last call, milliseconds. */
function takeTimes(log: string): Record<(typeof VERBS)[number], number> {
  const times = { create: 0, start: 0, delete: 0 };
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  rmSync(log);
  for (const line of lines) {
    const [verb, begin, end] = line.split(' ') as [keyof typeof times, string, string];
    times[verb] += Number(BigInt(end) - BigInt(begin)) / 1e6;
  }
  return times;
}

const FIGURES = {
  whole: { title: 'docker run --rm of /bin/true', unit: 'ms' },
  create: { title: "docker run --rm: the runtime's create", unit: 'ms' },
  start: { title: "docker run --rm: the runtime's start", unit: 'ms' },
  delete: { title: "docker run --rm: the runtime's delete", unit: 'ms' },
  rest: { title: 'docker run --rm: Docker itself, and the program', unit: 'ms' },
} as const satisfies Readonly<Record<string, Figure>>;

/**
 * @param folder scratch
 * @returns nothing where there is no Docker, or one that runs
 */
export async function dockerRuns(runtimes: readonly Runtime[], runs: number, folder: string): Promise<Comparison[]> {
  if (![DOCKERD, DOCKER].every((path) => existsSync(path)) || existsSync(OTHERS_PID)) {
    say('docker run is left out: there is no Docker here, or it runs already');
    return [];
  }
  const log = (name: string): string => join(folder, `${name}.log`);
  const wrapped = runtimes.map(({ name, program }) => {
    const path = join(folder, `docker-${name}`);
    writeFileSync(path, wrapper(program, log(name)));
    chmodSync(path, 0o755);
    // Docker knows runc by itself, and lets nobody else have the name.
    return { name, runtime: `bench-${name}`, path };
  });
  const configuration = { runtimes: Object.fromEntries(wrapped.map(({ runtime, path }) => [runtime, { path }])) };
  writeFileSync(join(folder, 'daemon.json'), JSON.stringify(configuration));
  const data = join(folder, 'docker');
  mkdirSync(data);
  const daemon = spawn(
    DOCKERD,
    ['--config-file', join(folder, 'daemon.json'), '--data-root', data, '--log-level', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  try {
    await ready();
    const archive = join(folder, 'image.tar');
    execFileSync('tar', ['-C', join(buildDirectory, 'guest/rootfs'), '-cf', archive, '.']);
    execFileSync(DOCKER, ['import', archive, IMAGE], { stdio: 'ignore' });
    return await takeTurns(wrapped, runs, FIGURES, async ({ name, runtime }) => {
      const startMs = performance.now();
      execFileSync(DOCKER, ['run', '--rm', '--runtime', runtime, IMAGE, '/bin/true'], { stdio: 'inherit' });
      const whole = performance.now() - startMs;
      const times = takeTimes(log(name));
      return { whole, ...times, rest: whole - times.create - times.start - times.delete };
    });
  } finally {
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }
}

async function ready(): Promise<void> {
  const endMs = performance.now() + READY_MS;
  while (spawnSync(DOCKER, ['info'], { stdio: 'ignore' }).status !== 0) {
    if (performance.now() > endMs) throw new Error(`${DOCKERD} does not answer after ${READY_MS / 1000} s`);
    await pause(500);
  }
}
