// What every runtime that takes runc's commands must do. The same cases run against runc, which shows that they are right.
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeExec } from './exec-cases.ts';
import { BUSYBOX, ended, isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';
import { holdConsole, manage } from './helpers.ts';

export function describeRuntime(runtime: Runtime): void {
  describe('run', () => {
    test('passes each stream on, and ends with the status of the program', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('echo to stdout; echo to stderr >&2; exit 42'));

      const result = await bed.call(['run', '--bundle', bundle, 'c1']);

      expect(result).toEqual({ status: 42, stdout: 'to stdout\n', stderr: 'to stderr\n' });
      expect(bed.leftovers()).toEqual([]);
    });

    test('passes standard input and its end', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['run', '-b', bed.bundle({ args: ['wc', '-c'] }), 'c1'], 'x'.repeat(100_000));

      expect(result).toEqual({ status: 0, stdout: '100000\n', stderr: '' });
    });

    test('passes a megabyte of output, whole', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['run', '-b', bed.bundle(shell('head -c 1048576 /dev/zero')), 'c1']);

      expect(result.status).toBe(0);
      expect(result.stdout.length).toBe(1_048_576);
    });

    test('tells a program whose output nobody reads any more so, at its first write', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(
        shell('echo up; until [ -e /go ]; do sleep 0.1; done; echo void || : > /told; sleep 1000'),
      );
      // Detached, as runc hands its own streams over then.
      const caller = bed.spawn('run', '--detach', '-b', bundle, 'c1');
      await Promise.all([once(caller, 'exit'), once(caller.stdout ?? caller, 'data')]);

      caller.stdout?.destroy();
      // It goes a long way where there is no pipe between the two.
      await new Promise((resolve) => setTimeout(resolve, 500));
      writeFileSync(join(bundle, 'rootfs/go'), '');

      await until(() => readdirSync(join(bundle, 'rootfs')).includes('told'));
    });

    test('ends with 128 + 9 when the container is killed', async () => {
      await using bed = new RuntimeBed(runtime);
      const running = bed.spawn('run', '-b', bed.bundle(shell('echo up; sleep 1000')), 'c1');
      const result = ended(running);
      await new Promise((resolve) => running.stdout?.once('data', resolve));

      const kill = await bed.call(['kill', 'c1', 'KILL']);

      expect(kill).toEqual({ status: 0, stdout: '', stderr: '' });
      expect((await result).status).toBe(137);
      expect(bed.leftovers()).toEqual([]);
    });

    test('forwards signals that it gets', async () => {
      await using bed = new RuntimeBed(runtime);
      const running = bed.spawn(
        'run',
        '-b',
        bed.bundle(shell('trap "exit 7" TERM; echo up; while :; do sleep 0.1; done')),
        'c1',
      );
      const result = ended(running);
      await new Promise((resolve) => running.stdout?.once('data', resolve));

      running.kill('SIGTERM');

      expect(await result).toMatchObject({ status: 7, stderr: '' });
    });

    test('with --keep leaves a stopped container', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.call(['run', '--keep', '-b', bed.bundle(shell('exit 0')), 'c1']);

      const state = await bed.state('c1');
      const kill = await bed.call(['kill', 'c1']);
      const start = await bed.call(['start', 'c1']);
      const deleted = await bed.call(['delete', 'c1']);

      expect(state).toMatchObject({ status: 'stopped', pid: 0 });
      expect(kill.stderr).toMatch(bed.words('container not running'));
      expect(start.stderr).toMatch(bed.words('cannot start a container that has stopped'));
      expect(deleted.status).toBe(0);
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describe('the life of a container', () => {
    test('goes through the states, and each verb finds what it may do', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('echo hello; sleep 1000'));
      const pidFile = join(bed.folder, 'pid');

      const created = await bed.detached(['create', '--bundle', bundle, '--pid-file', pidFile, 'c1']);
      const pid = Number(readFileSync(pidFile, 'utf8'));
      const stateCreated = await bed.state('c1');
      const outputBefore = bed.output('out');
      const started = await bed.call(['start', 'c1']);
      const stateRunning = await bed.state('c1');
      const again = await bed.call(['start', 'c1']);
      const second = await bed.call(['create', '--bundle', bundle, 'c1']);
      const early = await bed.call(['delete', 'c1']);
      await until(() => bed.output('out') === 'hello\n');
      const unknown = await bed.call(['kill', 'c1', 'NOSUCH']);
      const killed = await bed.call(['kill', 'c1', '9']);
      const stateStopped = await bed.until('c1', 'stopped');
      const deleted = await bed.call(['delete', 'c1']);
      const gone = await bed.call(['state', 'c1']);

      expect(created).toMatchObject({ status: 0, stderr: '' });
      expect(stateCreated).toMatchObject({
        id: 'c1',
        status: 'created',
        pid,
        bundle,
      });
      expect(outputBefore).toBe('');
      expect(started).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(stateRunning).toMatchObject({ status: 'running', pid });
      expect(again.stderr).toMatch(bed.words('cannot start an already running container'));
      expect(second.status).toBe(1);
      expect(second.stderr).toMatch(bed.words('container with given ID already exists'));
      expect(early.stderr).toMatch(bed.words('cannot delete container c1 that is not stopped: running'));
      expect(unknown.stderr).toMatch(bed.words('unknown signal'));
      expect(killed.status).toBe(0);
      expect(stateStopped.pid).toBe(0);
      expect(deleted.status).toBe(0);
      expect(gone.status).toBe(1);
      expect(gone.stderr).toMatch(bed.words('container does not exist'));
      expect(isRunning(pid)).toBe(false);
      expect(bed.leftovers()).toEqual([]);
    });

    test('a created container can be deleted without a start', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(shell('sleep 1000')), 'c1']);

      const deleted = await bed.call(['delete', 'c1']);

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(bed.leftovers()).toEqual([]);
    });

    test('delete --force ends a running container, and does not mind that there is none', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);

      const first = await bed.call(['delete', '--force', 'c1']);
      const second = await bed.call(['delete', '--force', 'c1']);

      expect([first.status, second.status]).toEqual([0, 0]);
      expect(bed.leftovers()).toEqual([]);
    });

    test('the process of the pid file is inherited by the caller, and its status is the container’s', async () => {
      await using bed = new RuntimeBed(runtime);
      const pidFile = join(bed.folder, 'pid');
      const bundle = bed.bundle(shell('exit 42'));
      using manager = manage(pidFile, bed.commandLine('create', '-b', bundle, '--pid-file', pidFile, 'c1'));
      await manager.until('created 0\n');

      await bed.call(['start', 'c1']);

      expect(await manager.until('exited')).toContain('exited 42\n');
      expect((await bed.state('c1')).status).toBe('stopped');
    });

    test('SIGKILL to the process of the pid file ends the container', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);
      const { pid } = await bed.state('c1');

      process.kill(pid, 'SIGKILL');
      await bed.until('c1', 'stopped');
      const deleted = await bed.call(['delete', 'c1']);

      expect(deleted.status).toBe(0);
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describe('files of the host', () => {
    test('folders and single files are bound, read-only where asked', async () => {
      await using bed = new RuntimeBed(runtime);
      const file = join(bed.folder, 'note.txt');
      writeFileSync(file, 'from the host\n');
      const folder = bed.bundle(shell('exit 0'));
      const mounts = [
        { destination: '/mnt/folder', type: 'bind', source: folder, options: ['rbind', 'rw'] },
        { destination: '/mnt/note.txt', type: 'bind', source: file, options: ['bind', 'ro'] },
      ];
      const script = 'cat /mnt/note.txt; echo back >/mnt/folder/answer; echo no >/mnt/note.txt';

      const result = await bed.call(['run', '-b', bed.bundle({ ...shell(script), mounts }), 'c1']);

      expect(result.stdout).toBe('from the host\n');
      expect(result.stderr).toContain('Read-only file system');
      expect(readFileSync(join(folder, 'answer'), 'utf8')).toBe('back\n');
      expect(readFileSync(file, 'utf8')).toBe('from the host\n');
    });

    test('what the container writes into its root is in the bundle', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('echo written >/etc/written'));

      await bed.call(['run', '-b', bundle, 'c1']);

      expect(readFileSync(join(bundle, 'rootfs/etc/written'), 'utf8')).toBe('written\n');
    });
  });

  describe('hooks', () => {
    test('of both sides run in their order', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = join(bed.folder, 'bundle0/rootfs/etc/order');
      const add = (name: string, file: string) => ({ args: ['sh', '-c', `echo ${name} >>${file}`] });
      const hooks = {
        startContainer: [{ path: '/bin/sh', ...add('startContainer', '/etc/order') }],
        createContainer: [{ path: BUSYBOX, ...add('createContainer', 'etc/order') }],
        createRuntime: [{ path: '/bin/sh', ...add('createRuntime', path) }],
        prestart: [{ path: '/bin/sh', ...add('prestart', path) }],
      };
      const bundle = bed.bundle({ ...shell('cat /etc/order'), hooks });

      const { stdout } = await bed.call(['run', '-b', bundle, 'c1']);

      expect(stdout).toBe('prestart\ncreateRuntime\ncreateContainer\nstartContainer\n');
    });
  });

  describe('a terminal', () => {
    test('has its master sent to the console socket, and follows its size', async () => {
      await using bed = new RuntimeBed(runtime);
      const socket = join(bed.folder, 'console.sock');
      using console = await holdConsole(socket, [50, 132]);
      const script =
        'tty; read line; echo "got $line"; trap "stty size; exit 3" WINCH; echo ready; while :; do sleep 0.1; done';
      const bundle = bed.bundle({ ...shell(script), terminal: true });
      await bed.detached(['create', '-b', bundle, '--console-socket', socket, 'c1']);
      await bed.call(['start', 'c1']);

      await console.until('/dev/pts/0\r\n');
      console.type('typed\r');
      await console.until('ready\r\n');
      console.endInput();
      const shown = await console.until('50 132\r\n');
      await bed.until('c1', 'stopped');

      expect(shown).toMatch(bed.words('name /dev/ptmx'));
      expect(shown).toContain('typed\r\ngot typed\r\n');
    });

    test('is refused where nobody would hold its master', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle({ ...shell('exit 0'), terminal: true });

      const result = await bed.call(['create', '-b', bundle, 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(bed.words('will detach without setting console socket'));
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describeExec(runtime);
}
