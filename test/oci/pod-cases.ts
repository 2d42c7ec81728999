// Pods: containers that share a VM, as engines ask for them by annotations.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Namespace } from '../../src/oci/config.ts';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { type BundleOptions, type Ended, ended, isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';

const SLEEP = shell('sleep 1000');

/** How each engine says whose VM it is. */
const ENGINES: readonly [string, Readonly<Record<string, string>>][] = [
  ['containerd', { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 'pod' }],
  ['CRI-O', { 'io.kubernetes.cri-o.ContainerType': 'container', 'io.kubernetes.cri-o.SandboxID': 'pod' }],
  ['podman', { 'io.container.manager': 'libpod', 'io.kubernetes.cri-o.SandboxID': 'pod' }],
  ['podman, by the id of its pod', { 'io.container.manager': 'libpod', 'io.kubernetes.cri-o.SandboxID': 'abc' }],
  ['a caller without pods', { 'io.tskata.sandbox-id': 'pod' }],
];
const ANNOTATIONS = { 'io.tskata.sandbox-id': 'pod' };

/** A bed with a pod's first container, which runs. */
export class PodBed extends RuntimeBed {
  async startPod(options: BundleOptions = SLEEP): Promise<ContainerRecord> {
    const result = await this.detached(['run', '--detach', '-b', this.bundle(options), 'pod']);
    expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
    return this.record('pod');
  }

  /** Makes a container that is to be put there. */
  async add(id: string, options: BundleOptions = SLEEP, verb: readonly string[] = ['run', '-d']): Promise<Ended> {
    const namespaces = options.namespaces ?? (await this.shared('network', 'ipc', 'uts'));
    const bundle = this.bundle({ annotations: ANNOTATIONS, ...options, namespaces });
    return await this.detached([...verb, '-b', bundle, id]);
  }

  /** The namespaces of the first container by path, as engines name them. */
  async shared(...types: ('network' | 'ipc' | 'uts' | 'pid')[]): Promise<Namespace[]> {
    const { pid } = await this.state('pod');
    return types.map((type) => ({ type, path: `/proc/${pid}/ns/${type === 'network' ? 'net' : type}` }));
  }

  record(id: string): ContainerRecord {
    return JSON.parse(readFileSync(join(this.root, id, 'state.json'), 'utf8')) as ContainerRecord;
  }

  /** What a command in a container says. */
  async ask(id: string, ...command: readonly string[]): Promise<string> {
    const { stdout, stderr } = await this.call(['exec', id, ...command]);
    expect(stderr).toBe('');
    return stdout.trim();
  }

  /** Ids of the containers by their status. */
  async statuses(): Promise<Record<string, string>> {
    const { stdout } = await this.call(['list', '--format', 'json']);
    const list = JSON.parse(stdout) as { id: string; status: string }[];
    return Object.fromEntries(list.map(({ id, status }) => [id, status]));
  }
}

export function describePods(runtime: Runtime): void {
  describe('a pod', () => {
    test.each(ENGINES)('has one virtual machine for its containers, where %s says so', async (_, annotations) => {
      await using bed = new PodBed(runtime);
      const { sandbox } = await bed.startPod();

      const added = await bed.add('c1', { ...SLEEP, annotations });

      expect(added).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(bed.record('c1').sandbox).toEqual(sandbox);
      expect(await bed.statuses()).toEqual({ pod: 'running', c1: 'running' });
    });

    test('shares the namespaces that are named by path, and has others for each', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod({ ...SLEEP, annotations: ANNOTATIONS });
      await bed.add('c1');
      await bed.add('c2', { ...SLEEP, namespaces: await bed.shared('network', 'pid') });
      const names = ['ipc', 'mnt', 'net', 'pid', 'uts'].map((name) => `/proc/self/ns/${name}`);

      const [pod, c1, c2] = await Promise.all(
        ['pod', 'c1', 'c2'].map(async (id) => (await bed.ask(id, 'ls', '-l', ...names)).match(/\[\d+\]/g)),
      );

      const sharedWithPod = (own: readonly string[] | null | undefined): string[] =>
        names.filter((_, index) => own?.[index] === pod?.[index]).map((name) => name.slice('/proc/self/ns/'.length));
      expect(sharedWithPod(c1)).toEqual(['ipc', 'net', 'uts']);
      expect(sharedWithPod(c2)).toEqual(['net', 'pid']);
    });

    test("on the host its containers are in the sandbox's namespaces as well", async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      await bed.add('c1');
      const [pod, c1] = [(await bed.state('pod')).pid, (await bed.state('c1')).pid];

      const namespacesOf = (pid: number): string[] =>
        ['net', 'ipc', 'uts'].map((name) => readlinkSync(`/proc/${pid}/ns/${name}`));

      expect(namespacesOf(c1)).toEqual(namespacesOf(pod));
    });

    test('lets each verb find the container that it is told, and the volumes of each', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const volume = bed.bundle(SLEEP);
      const mounts = [{ destination: '/mnt', type: 'bind', source: volume, options: ['rbind'] }];

      const created = await bed.add('c1', { ...shell('echo from c1 >/mnt/said; sleep 1000'), mounts }, ['create']);
      const before = await bed.state('c1');
      await bed.call(['start', 'c1']);
      const listed = await bed.call(['ps', '--format', 'json', 'c1']);
      await bed.call(['pause', 'c1']);
      const paused = await bed.statuses();
      await bed.call(['resume', 'c1']);
      const seen = await bed.ask('c1', 'cat', '/mnt/said');
      await bed.call(['kill', 'c1', 'KILL']);
      await bed.until('c1', 'stopped');
      const deleted = await bed.call(['delete', 'c1']);

      expect(created).toMatchObject({ status: 0, stderr: '' });
      expect(before.status).toBe('created');
      expect(JSON.parse(listed.stdout)).toEqual([before.pid]);
      expect(paused).toEqual({ pod: 'running', c1: 'paused' });
      expect(seen).toBe('from c1');
      expect(readFileSync(join(volume, 'said'), 'utf8')).toBe('from c1\n');
      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(await bed.statuses()).toEqual({ pod: 'running' });
    });

    test('has in its containers what was mounted after its start on a mount that nobody else follows', async () => {
      await using bed = new PodBed(runtime);
      const mount = (...args: readonly string[]): Buffer => execFileSync('/bin/mount', args);
      mount('--bind', bed.folder, bed.folder);
      mount('--make-private', bed.folder);
      using mounts = new DisposableStack();
      mounts.defer(() => execFileSync('/bin/umount', ['--recursive', '--lazy', bed.folder]));
      await bed.startPod();
      const volume = join(bed.folder, 'volume');
      mkdirSync(volume);
      mount('-t', 'tmpfs', 'volume', volume);
      writeFileSync(join(volume, 'file'), 'of the volume');
      const namespaces = await bed.shared('network');
      const bundle = bed.bundle({
        ...shell('cat /mnt/file /bind'),
        annotations: ANNOTATIONS,
        namespaces,
        mounts: [
          { destination: '/mnt', type: 'bind', source: volume, options: ['bind'] },
          { destination: '/bind', type: 'bind', source: join(volume, 'file'), options: ['bind', 'ro'] },
        ],
      });
      const rootfs = join(bundle, 'rootfs');
      renameSync(rootfs, join(bundle, 'real'));
      mkdirSync(rootfs);
      mount('--bind', join(bundle, 'real'), rootfs);

      const result = await bed.call(['run', '-b', bundle, 'c1']);

      expect(result).toEqual({ status: 0, stdout: 'of the volumeof the volume', stderr: '' });
    });

    test('takes a name again that was deleted, and ends with its last container', async () => {
      await using bed = new PodBed(runtime);
      const { sandbox } = await bed.startPod();
      await bed.add('c1');
      await bed.call(['delete', '--force', 'c1']);

      const again = await bed.add('c1');
      await bed.call(['kill', 'pod', 'KILL']);
      await bed.until('pod', 'stopped');
      const withOne = isRunning(sandbox?.pid ?? 0) && (await bed.ask('c1', 'echo', 'goes on'));
      await bed.call(['kill', 'c1', 'KILL']);
      await until(() => !isRunning(sandbox?.pid ?? 0));
      await bed.call(['delete', 'c1']);
      await bed.call(['delete', 'pod']);

      expect(again).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(withOne).toBe('goes on');
      expect(bed.leftovers()).toEqual([]);
    });

    test('takes containers that come at once', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const namespaces = await bed.shared('network', 'ipc');
      const bundles = ['c1', 'c2'].map(() =>
        bed.bundle({ ...shell('echo here'), annotations: ANNOTATIONS, namespaces }),
      );

      const results = await Promise.all(bundles.map((bundle, index) => bed.call(['run', '-b', bundle, `c${index}`])));

      expect(results).toEqual([
        { status: 0, stdout: 'here\n', stderr: '' },
        { status: 0, stdout: 'here\n', stderr: '' },
      ]);
      expect(await bed.statuses()).toEqual({ pod: 'running' });
    });

    test('ends with its sandbox, where that is deleted by force only', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      await bed.add('c1');
      await bed.call(['kill', 'pod', 'KILL']);
      await bed.until('pod', 'stopped');

      const kept = await bed.call(['delete', 'pod']);
      const forced = await bed.call(['delete', '--force', 'pod']);
      const stopped = await bed.statuses();
      const deleted = await bed.call(['delete', 'c1']);

      expect(kept.stderr).toContain('cannot delete container pod: in its virtual machine run c1; delete them first');
      expect(forced).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(stopped).toEqual({ c1: 'stopped' });
      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(bed.leftovers()).toEqual([]);
    });

    test('is deleted with what has stopped in it', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      await bed.add('c1', shell('exit 0'));
      await bed.until('c1', 'stopped');
      await bed.call(['kill', 'pod', 'KILL']);
      await bed.until('pod', 'stopped');

      const deleted = [await bed.call(['delete', 'pod']), await bed.call(['delete', 'c1'])];

      expect(deleted.map(({ status, stderr }) => `${status} ${stderr}`)).toEqual(['0 ', '0 ']);
      expect(bed.leftovers()).toEqual([]);
    });
  });
}

/** What the runtime decides by itself, whatever the virtual machine is. */
export function describePodFailures(runtime: Runtime): void {
  describe('when something fails in a pod', () => {
    test('kill -9 of the sandbox process stops all its containers', async () => {
      await using bed = new PodBed(runtime);
      const { sandbox } = await bed.startPod();
      await bed.add('c1');

      process.kill(sandbox?.pid ?? 0, 'SIGKILL');
      await bed.until('pod', 'stopped');
      await bed.until('c1', 'stopped');
      const late = await bed.add('c2', { ...SLEEP, namespaces: [] });
      const deleted = [await bed.call(['delete', 'c1']), await bed.call(['delete', 'pod'])];

      expect(late.stderr).toContain(
        'container pod, into whose virtual machine annotation io.tskata.sandbox-id puts c2, is not running',
      );
      expect(deleted.map(({ status, stderr }) => `${status} ${stderr}`)).toEqual(['0 ', '0 ']);
      expect(bed.leftovers()).toEqual([]);
    });

    test('a container that cannot be made leaves nothing, and the others go on', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();

      const failed = await bed.add('c1', { args: ['/nosuch'] });
      const again = await bed.add('c1', SLEEP);

      expect(failed.stderr).toContain('unable to start container process');
      expect(again).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(await bed.statuses()).toEqual({ pod: 'running', c1: 'running' });
    });

    test('kill -9 of the verb that creates leaves what delete removes, and the others go on', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const hook = { path: '/bin/sh', args: ['sh', '-c', `: >${bed.folder}/waiting; exec sleep 3`] };
      const namespaces = await bed.shared('network');
      const bundle = bed.bundle({ ...SLEEP, annotations: ANNOTATIONS, namespaces, hooks: { prestart: [hook] } });
      const creating = bed.spawn('create', '-b', bundle, 'c1');
      await until(() => existsSync(join(bed.folder, 'waiting')));

      creating.kill('SIGKILL');
      await bed.until('c1', 'stopped');
      const deleted = await bed.call(['delete', 'c1']);
      const again = await bed.add('c1');

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(again).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(await bed.statuses()).toEqual({ pod: 'running', c1: 'running' });
    });

    test('SIGTERM to the verb that creates leaves nothing of the container, and the others go on', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const hook = { path: '/bin/sh', args: ['sh', '-c', `: >${bed.folder}/waiting; exec sleep 1000`] };
      const namespaces = await bed.shared('network');
      const bundle = bed.bundle({ ...SLEEP, annotations: ANNOTATIONS, namespaces, hooks: { prestart: [hook] } });
      const creating = bed.spawn('create', '-b', bundle, 'c1');
      const end = ended(creating);
      await until(() => existsSync(join(bed.folder, 'waiting')));

      creating.kill('SIGTERM');

      expect((await end).stderr).toContain('tskata create failed');
      expect(await bed.statuses()).toEqual({ pod: 'running' });
      expect(readdirSync(bed.root)).toEqual(['pod']);
    });

    test('a record that cannot be read is removed without the pod', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      await bed.add('c1');
      writeFileSync(join(bed.root, 'c1/state.json'), '');

      const deleted = await bed.call(['delete', '--force', 'c1']);

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(await bed.statuses()).toEqual({ pod: 'running' });
    });

    test.each([
      ['containerd', 'io.kubernetes.cri.sandbox-id', 'io.kubernetes.cri.container-type', /puts c1, does not exist"?$/m],
      [
        'CRI-O',
        'io.kubernetes.cri-o.SandboxID',
        'io.kubernetes.cri-o.ContainerType',
        /CRI-O keeps it with drop_infra_ctr/,
      ],
    ])('%s names a sandbox that is not there: nothing is made', async (_, idName, typeName, message) => {
      await using bed = new PodBed(runtime);
      const annotations = { [idName]: 'nosuch', [typeName]: 'container' };

      const result = await bed.call(['create', '-b', bed.bundle({ ...SLEEP, annotations }), 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(message);
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describe('namespaces of others', () => {
    test('in another virtual machine cannot be joined, and the error says what can be done', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const bundle = bed.bundle({ ...SLEEP, namespaces: await bed.shared('ipc') });

      const result = await bed.call(['create', '-b', bundle, 'c1']);

      expect(result.stderr).toMatch(
        /the ipc namespace \/proc\/\d+\/ns\/ipc cannot be joined: it is that of container pod, /,
      );
      expect(result.stderr).toContain('set the annotation io.tskata.sandbox-id to pod');
      expect(await bed.statuses()).toEqual({ pod: 'running' });
    });

    test('of a process of the host cannot be joined', async () => {
      await using bed = new PodBed(runtime);
      const bound = spawn('/usr/bin/unshare', ['--ipc', '/bin/sleep', '1000']);
      await until(() => readlinkSync(`/proc/${bound.pid}/ns/ipc`) !== readlinkSync('/proc/self/ns/ipc'));
      const bundle = bed.bundle({ ...SLEEP, namespaces: [{ type: 'ipc', path: `/proc/${bound.pid}/ns/ipc` }] });

      const result = await bed.call(['create', '-b', bundle, 'c1']);
      bound.kill('SIGKILL');

      expect(result.stderr).toContain(`it is that of process ${bound.pid} of the host`);
      expect(bed.leftovers()).toEqual([]);
    });

    test("of the host are the virtual machine's own for its containers", async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod({ ...SLEEP, namespaces: [{ type: 'ipc', path: `/proc/${process.pid}/ns/ipc` }] });
      await bed.add('c1', { ...SLEEP, withoutNamespaces: ['ipc'], namespaces: await bed.shared('network') });

      expect(await bed.ask('c1', 'readlink', '/proc/self/ns/ipc')).toBe(
        await bed.ask('pod', 'readlink', '/proc/self/ns/ipc'),
      );
    });

    test("are refused for the network: a virtual machine cannot be in the host's", async () => {
      await using bed = new PodBed(runtime);
      const bundle = bed.bundle({ ...SLEEP, withoutNamespaces: ['network'] });

      const result = await bed.call(['create', '-b', bundle, 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toContain(
        "asks for the host's network namespace, in which a virtual machine cannot be: give",
      );
      expect(bed.leftovers()).toEqual([]);
    });

    test('are no network at all, with a warning, where the configuration says so', async () => {
      await using bed = new PodBed(runtime);
      const config = join(bed.folder, 'config.toml');
      writeFileSync(config, 'host_network = "none"\n');
      const bundle = bed.bundle({ ...shell('exit 3'), withoutNamespaces: ['network'] });

      const result = await bed.call(['--config', config, 'run', '-b', bundle, 'c1']);

      expect(result).toMatchObject({ status: 3, stderr: expect.stringContaining('it has no network') });
    });

    test('a container of a pod cannot have another network', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();

      const result = await bed.add('c1', { ...SLEEP, namespaces: [{ type: 'network' }] });

      expect(result.stderr).toContain('containers of one virtual machine share its network, which is that of pod');
      expect(readdirSync(bed.root)).toEqual(['pod']);
    });
  });
}
