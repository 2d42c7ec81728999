// containerd with tskata as a runtime: its Container Runtime Interface, as kubelet calls it, beside runc; and its own client, ctr.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pause } from '../oci/harness.ts';
import { PORT_DATA, PORT_ERROR, RESIZE, STATUS, STDERR, STDIN, STDOUT } from '../support/cri/channels.ts';
import { CriClient } from '../support/cri/client.ts';
import { ContainerState, type ContainerStats, PodSandboxState } from '../support/cri/cri.gen.ts';
import { POD_MEMORY_MIB, Pod } from '../support/cri/pod.ts';
import { Engine, PATIENCE, packImage, RUNTIME, sandboxes } from './engine.ts';

const SOCKET = '/run/containerd/containerd.sock';
const IMAGE = 'localhost/tskata-box:latest';

const folder = mkdtempSync(join(tmpdir(), 'tskata-containerd-'));
const settings = join(folder, 'config.toml');
const networks = join(folder, 'net.d');
let daemon: ChildProcess | undefined;

/** Everything is in the name space of the CRI. */
const ctr = new Engine('/usr/bin/ctr', '--namespace', 'k8s.io');
const cri = new CriClient(SOCKET);

const BEFORE_INSTALL = `version = 2

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${networks}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;

const NETWORK = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni-pods',
      isGateway: true,
      ipMasq: false,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.0.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: join(folder, 'ipam'),
      },
    },
  ],
};

const log = openSync(join(folder, 'log'), 'a');
async function startDaemon(): Promise<void> {
  daemon = spawn('/usr/bin/containerd', ['--config', settings], { stdio: ['ignore', log, log] });
  while ((await ctr.call('version')).status !== 0) await pause();
}

async function stopDaemon(signal: NodeJS.Signals): Promise<void> {
  if (daemon?.kill(signal)) await once(daemon, 'exit');
}

beforeAll(async () => {
  mkdirSync(networks);
  writeFileSync(join(networks, '10-pods.conflist'), JSON.stringify(NETWORK));
  writeFileSync(settings, BEFORE_INSTALL);
  execFileSync(RUNTIME, ['install', 'containerd', '--config', settings, '--path', RUNTIME]);
  await startDaemon();
  await ctr.printed('images', 'import', packImage(folder, IMAGE, ['sleep', '1000000']));
});
afterAll(async () => {
  cri[Symbol.dispose]();
  await stopDaemon('SIGTERM');

  rmSync(folder, { recursive: true, force: true });
});

/** Hears what it is told, and ends at SIGTERM as it likes. */
const CLIENT = `trap "echo ends; exit 3" TERM; echo out; echo err >&2
  while :; do read -t 1 line && echo "heard $line" || sleep 0.2; done`;
/** For everybody at port 80, for the pod itself at port 8080. */
const WEB = `mkdir /www; echo from the pod > /www/index.html
  httpd -p 80 -h /www; exec httpd -f -p 127.0.0.1:8080 -h /www`;

/** Bytes that a container is made to use, and what its few processes take at most beside them: less than any VM. */
const FILLED = 30_000_000;
const SMALL = 8_000_000;

const foldersIn = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

describe.each(['runc', 'tskata'])('a pod of %s', (handler) => {
  let pod: Pod;
  let web: string;
  let client: string;
  const logs = join(folder, `logs-${handler}`);

  beforeAll(async () => {
    pod = await Pod.run(cri, handler, logs);
    web = await pod.start('web', IMAGE, WEB);
    writeFileSync(join(folder, `volume-${handler}`), 'from the host\n');
    const mounts = [{ containerPath: '/volume', hostPath: join(folder, `volume-${handler}`), readonly: true }];
    client = await pod.start('client', IMAGE, CLIENT, { stdin: true, mounts });
  });

  test('has the address, the names and the files that it was given', async () => {
    const status = await pod.status();
    const { stdout } = await pod.exec(client, 'ip -o -4 address show eth0; hostname; cat /etc/resolv.conf /volume');

    expect(status).toMatchObject({ state: PodSandboxState.SANDBOX_READY, runtimeHandler: handler });
    expect(stdout).toContain(`inet ${status?.network?.ip}/24`);
    expect(stdout).toContain(`\n${handler}-pod\n`);
    expect(stdout).toContain('nameserver 10.96.0.10\n');
    expect(stdout).toMatch(/from the host\n$/);
    expect(await (await fetch(`http://${status?.network?.ip}/`)).text()).toBe('from the pod\n');
  });

  test('has containers that share localhost, and one machine where they have one', async () => {
    const fetched = await pod.exec(client, 'wget -q -O- http://127.0.0.1:8080/');

    expect(fetched).toEqual({ status: 0, stdout: 'from the pod\n', stderr: '' });
    expect(sandboxes()).toHaveLength(handler === 'tskata' ? 1 : 0);
  });

  test.runIf(handler === 'tskata')('is a machine as big as kubelet says', async () => {
    const { stdout } = await pod.exec(web, 'grep MemTotal /proc/meminfo');

    expect(Number(stdout.replace(/\D/g, ''))).toBeGreaterThan(0.9 * POD_MEMORY_MIB * 1024);
  });

  test('tells what a command prints, and how it ends', async () => {
    expect(await pod.exec(client, 'echo a; echo b >&2; exit 7')).toEqual({ status: 7, stdout: 'a\n', stderr: 'b\n' });
  });

  test('ends a command that takes too long', async () => {
    await expect(pod.exec(client, 'sleep 1000', 1)).rejects.toThrow(/DEADLINE_EXCEEDED.*timeout 1s exceeded/);
    await expect.poll(async () => (await pod.exec(client, 'ps')).stdout, PATIENCE).not.toContain('sleep 1000');
  });

  test('streams a command: input, output, errors, status', async () => {
    const channels = await pod.execChannels(client, 'read word; echo "got $word"; echo bad >&2; exit 4');
    channels.send(STDIN, 'hello\n');
    await channels.ended;

    expect(channels.text(STDOUT)).toBe('got hello\n');
    expect(channels.text(STDERR)).toBe('bad\n');
    const causes = [{ reason: 'ExitCode', message: '4' }];
    expect(JSON.parse(channels.text(STATUS))).toMatchObject({ status: 'Failure', details: { causes } });
  });

  test('gives a command a terminal, and that the size that is asked for', async () => {
    const script = 'tty; until [ "$(stty size)" = "37 101" ]; do sleep 0.1; done; echo resized';
    const channels = await pod.execChannels(client, script, true);
    await expect.poll(() => channels.text(STDOUT), PATIENCE).toMatch(/^\/dev\/pts\/\d+\r\n/);
    channels.send(RESIZE, JSON.stringify({ Width: 101, Height: 37 }));
    await channels.ended;

    expect(channels.text(STDOUT)).toContain('resized\r\n');
  });

  test('lets a container be attached to, and logs its streams apart', async () => {
    const lines = (): string[] => readFileSync(join(logs, 'client.log'), 'utf8').trimEnd().split('\n');
    const channels = await pod.attach(client);
    channels.send(STDIN, 'one\n');

    await expect.poll(() => channels.text(STDOUT), PATIENCE).toBe('heard one\n');
    channels.close();
    // A moment, a stream, whether the line is full, the line.
    const logged = lines().map((line) => line.replace(/^\S+ /, ''));
    expect(logged.toSorted()).toEqual(['stderr F err', 'stdout F heard one', 'stdout F out']);
  });

  test('forwards a port of its localhost', async () => {
    const channels = await pod.forward(8080);
    channels.send(PORT_DATA, 'GET / HTTP/1.0\r\n\r\n');
    await channels.ended;

    expect(channels.bytes(PORT_ERROR).subarray(2).toString()).toBe('');
    expect(channels.text(PORT_DATA)).toContain('from the pod\n');
  });

  test('has statistics', async () => {
    // Reads all at once, and cannot be rid of it.
    await pod.exec(client, `(dd if=/dev/zero bs=${FILLED} count=1 | sleep 1000) < /dev/null > /dev/null 2>&1 &`);
    const memoryOf = (containers: readonly ContainerStats[], id: string): number =>
      Number(containers.find(({ attributes }) => attributes?.id === id)?.memory?.workingSetBytes?.value);
    await expect.poll(async () => memoryOf(await pod.containerStats(), client), PATIENCE).toBeGreaterThan(FILLED);
    const containers = await pod.containerStats();
    const sum = await pod.stats();

    expect(containers.map(({ attributes }) => attributes?.id).toSorted()).toEqual([web, client].toSorted());
    expect(memoryOf(containers, client)).toBeLessThan(FILLED + SMALL);
    expect(memoryOf(containers, web)).toBeGreaterThan(0);
    expect(memoryOf(containers, web)).toBeLessThan(SMALL);
    expect(containers.map(({ cpu }) => cpu?.usageCoreNanoSeconds?.value)).not.toContain(0n);
    expect(sum?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0n);
    expect(sum?.network?.defaultInterface?.name).toBe('eth0');
  });

  test('takes other limits', async () => {
    await pod.update(client, { memoryLimitInBytes: BigInt(64 << 20), cpuQuota: 50_000n, cpuPeriod: 100_000n });

    const { stdout } = await pod.exec(client, 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max');
    expect(stdout).toBe(`${64 << 20}\n50000 100000\n`);
  });

  test('is there when containerd has been killed and started again', async () => {
    await stopDaemon('SIGKILL');
    await startDaemon();

    await expect.poll(() => pod.exec(client, 'echo here'), PATIENCE).toMatchObject({ stdout: 'here\n' });
  });

  test('stops a container with grace, and goes with all that it had', async () => {
    await pod.stop(client, 60);
    const stopped = await pod.containerStatus(client);
    await pod.remove(client);
    await pod.end();

    expect(stopped).toMatchObject({ state: ContainerState.CONTAINER_EXITED, exitCode: 3, reason: 'Error' });
    expect(sandboxes()).toEqual([]);
    expect(foldersIn(`/sys/fs/cgroup/kubepods/${handler}`)).toEqual([]);
    expect(readdirSync('/run/netns')).toEqual([]);
  });
});

describe('ctr with tskata', () => {
  const run = ['run', '--runc-binary', RUNTIME];

  test('run passes output and status on, and leaves nothing', async () => {
    const command = ['sh', '-c', 'echo out; uname -r; exit 5'];
    const { status, stdout } = await ctr.call(...run, '--rm', IMAGE, 'c1', ...command);

    expect(status).toBe(5);
    expect(stdout).toMatch(/^out\n6\.[\d.]+-tskata\n$/);
    expect(await ctr.printed('containers', 'list', '--quiet')).toBe('');
  });

  test('a task is entered, paused, measured and ended', async () => {
    const task = ctr.printed.bind(ctr, 'tasks');
    await ctr.printed(...run, '--detach', IMAGE, 'c2', 'sh', '-c', 'trap "exit 3" TERM; while :; do sleep 1; done');

    expect((await ctr.call('tasks', 'exec', '--exec-id', 'e1', 'c2', 'sh', '-c', 'exit 9')).status).toBe(9);
    await task('pause', 'c2');
    expect(await task('list')).toMatch(/^c2 +\d+ +PAUSED$/m);
    await task('resume', 'c2');
    expect(await task('metrics', 'c2')).toMatch(/^memory\.usage +[1-9]/m);
    await task('kill', 'c2');
    await expect.poll(() => task('list'), PATIENCE).toMatch(/^c2 +\d+ +STOPPED$/m);
    expect((await ctr.call('tasks', 'delete', 'c2')).stderr).toContain('non-zero exit code 3');
    await ctr.printed('containers', 'delete', 'c2');
    expect(sandboxes()).toEqual([]);
    expect(foldersIn('/run/containerd/runc/k8s.io')).toEqual([]);
  });
});
