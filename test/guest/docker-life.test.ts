// Docker with tskata: every flag of a container beside runc, and what happens to containers when something around them ends.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ended } from '../oci/harness.ts';
import { DockerDaemon, IMAGE, SLEEP } from './docker-daemon.ts';
import { PATIENCE } from './engine.ts';

let daemon: DockerDaemon;
const printed = (...args: readonly string[]): Promise<string> => daemon.docker.printed(...args);
const inspect = (format: string, ...names: readonly string[]): Promise<string> =>
  printed('inspect', '-f', format, ...names);

beforeAll(async () => {
  daemon = await DockerDaemon.start('--live-restore');
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
});

/** Says what flags have made of a container. */
const TELL = `
id
grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd|CapInh|CapAmb):' /proc/self/status
ulimit -n; ulimit -c
cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start
awk '$2 == "/dev/shm" || $2 == "/scratch" || $2 == "/t" { print $2, $3 }' /proc/mounts
df -k /dev/shm /t | awk 'NR > 1 { print $2, $6 }'
cat /volume/in; echo out > /volume/out
touch /read-only 2>&1; touch /bound/x 2>&1
env | grep -E '^(ONE|TWO|FILE|HOME)=' | sort
cat /proc/1/comm; hostname; cat /etc/hostname; pwd
grep -c extra /etc/hosts; cat /etc/resolv.conf | grep -E '^(nameserver|search)'
cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu.weight
ls -d /proc/acpi/* /proc/kcore 2>/dev/null | wc -l
unshare -U true 2>&1
`;

describe('flags', () => {
  test('have the effect that they have with runc', async () => {
    const bound = join(daemon.folder, 'bound');
    mkdirSync(bound, { recursive: true });
    const file = join(daemon.folder, 'env');
    writeFileSync(file, 'FILE=of the file\n');
    const profile = join(daemon.folder, 'seccomp.json');
    const denied = { names: ['unshare'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 };
    writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [denied] }));
    const flags = [
      ...['--hostname', 'box', '--init', '--read-only', '--shm-size', '3m', '--pids-limit', '77'],
      ...['--user', '7:8', '--group-add', '9', '--cap-drop', 'ALL', '--cap-add', 'NET_BIND_SERVICE'],
      ...['--security-opt', 'no-new-privileges', '--security-opt', `seccomp=${profile}`],
      ...['--ulimit', 'nofile=123:456', '--ulimit', 'core=0', '--sysctl', 'kernel.msgmax=9999'],
      ...['-e', 'ONE=1', '--env', 'TWO=2', '--env-file', file, '-w', '/tmp', '--tmpfs', '/t:size=2m,mode=1777'],
      ...['--mount', 'type=tmpfs,destination=/scratch', '-v', `${bound}:/bound:ro`],
      ...['--add-host', 'extra:10.0.0.1', '--dns', '10.9.8.7', '--dns-search', 'example.org'],
      ...['--memory', '100m', '--cpus', '1.5', '--cpu-shares', '512'],
    ];
    const tell = async (runtime: 'tskata' | 'runc') => {
      const volume = ['-v', `volume-${runtime}:/volume`];
      const prepare = 'echo in > /volume/in; chmod 777 /volume';
      await printed('run', '--rm', '--runtime=runc', ...volume, IMAGE, 'sh', '-c', prepare);
      const result = await daemon.run(runtime, ...flags, ...volume, IMAGE, 'sh', '-c', TELL);
      const written = await daemon.run('runc', ...volume, IMAGE, 'cat', '/volume/out');
      await printed('volume', 'rm', `volume-${runtime}`);
      return { ...result, stdout: result.stdout.split('\n'), written: written.stdout };
    };

    expect(await tell('tskata')).toEqual(await tell('runc'));
  });

  test('of a terminal give one, with the size of the caller', async () => {
    const line = `docker run --rm -it --runtime=tskata ${IMAGE} sh -c 'stty size; tty; exit 3'`;
    const script = ['-qec', `stty rows 33 columns 44; ${line}`, '/dev/null'];

    const { status, stdout } = await ended(spawn('/usr/bin/script', script, { stdio: ['ignore', 'pipe', 'pipe'] }));

    expect(status).toBe(3);
    expect(stdout).toContain('33 44\r\n/dev/pts/0\r\n');
  });
});

test('a container that fails is started again, as often as was said, and its files stay', async () => {
  const script = 'echo again >> /count; exit 4';
  await printed(
    'run',
    '-d',
    '--name',
    'again',
    '--restart',
    'on-failure:1',
    '--runtime=tskata',
    IMAGE,
    'sh',
    '-c',
    script,
  );

  const status = (): Promise<string> => inspect('{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}', 'again');
  await expect.poll(status, PATIENCE).toBe('exited 4 1');
  await printed('commit', 'again', 'committed');
  expect(await printed('run', '--rm', '--runtime=runc', 'committed', 'cat', '/count')).toBe('again\nagain');
  expect(execFileSync('/bin/sh', ['-c', 'docker export again | tar -xO count'], { encoding: 'utf8' })).toBe(
    'again\nagain\n',
  );
  await printed('rm', 'again');
  await printed('rmi', 'committed');
});

test('a container is healthy when its command says so', async () => {
  const health = ['--health-cmd', 'test -e /healthy', '--health-interval', '5s', '--health-retries', '1000'];
  await printed('run', '-d', '--name', 'checked', ...health, '--runtime=tskata', IMAGE, ...SLEEP);
  const status = (): Promise<string> => inspect('{{.State.Health.Status}}', 'checked');
  const before = await status();

  await printed('exec', 'checked', 'touch', '/healthy');

  expect(before).toBe('starting');
  await expect.poll(status, PATIENCE).toBe('healthy');
  await printed('rm', '-f', 'checked');
});
