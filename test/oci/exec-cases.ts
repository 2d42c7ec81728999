// `exec` and `pause`, as every runtime that takes runc's commands must do them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFailed, test } from 'vitest';
import { isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';
import { holdConsole, manage } from './helpers.ts';

/** A container that runs until it is killed, and says when it does. */
export async function runningContainer(runtime: Runtime, script = 'trap "exit 0" TERM; echo up; sleep 1000 & wait') {
  await using resources = new AsyncDisposableStack();
  const bed = resources.use(new RuntimeBed(runtime));
  const { status, stderr } = await bed.detached(['run', '--detach', '--bundle', bed.bundle(shell(script)), 'c1']);
  if (status !== 0) throw new Error(`the container did not start: ${stderr}`);
  await until(() => bed.output('out') === 'up\n');
  resources.move();
  return bed;
}

/**
 * One running container for those tests of a group that leave it running; for the group to call where it is described.
 * What a test finds in it must not depend on others: it asserts what it has set or started itself.
 *
 * @returns for a test to call: the container's bed. It is made for the first test that asks, and anew after one that failed.
 */
export function sharedContainer(runtime: Runtime): () => Promise<RuntimeBed> {
  let shared: RuntimeBed | undefined;
  const end = async (): Promise<void> => {
    const bed = shared;
    shared = undefined;
    await bed?.[Symbol.asyncDispose]();
  };
  afterAll(end);
  return async () => {
    onTestFailed(end);
    shared ??= await runningContainer(runtime);
    return shared;
  };
}

export function describeExec(runtime: Runtime): void {
  describe('exec', () => {
    const container = sharedContainer(runtime);

    test('passes each stream on, and ends with the status of the process', async () => {
      const bed = await container();

      const result = await bed.call(['exec', 'c1', 'sh', '-c', 'cat; echo to stderr >&2; exit 42'], 'typed\n');

      expect(result).toEqual({ status: 42, stdout: 'typed\n', stderr: 'to stderr\n' });
    });

    test('is as its flags say', async () => {
      const bed = await container();
      const script = 'echo $(id -u):$(id -g):$(id -G) $PWD $A $B';

      const flags = ['--user', '7:8', '-g', '9', '--cwd', '/tmp', '-e', 'A=one', '-e', 'B=two'];
      const { stdout } = await bed.call(['exec', ...flags, 'c1', 'sh', '-c', script]);

      expect(stdout).toBe('7:8:8 9 /tmp one two\n');
    });

    test('is in the container, whose processes it sees', async () => {
      const bed = await container();

      const { stdout } = await bed.call(['exec', 'c1', 'ps', '-o', 'pid,args']);

      expect(stdout).toMatch(/^\s+1 sh -c /m);
      expect(stdout).toMatch(/ ps -o pid,args$/m);
    });

    test('of a process object is that process', async () => {
      const bed = await container();
      const path = join(bed.folder, 'process.json');
      const process = { args: ['sh', '-c', 'echo $0 $X; id -u', 'zero'], cwd: '/etc', env: ['PATH=/bin', 'X=y'] };
      writeFileSync(path, JSON.stringify({ ...process, user: { uid: 5, gid: 6 } }));

      const { status, stdout } = await bed.call(['exec', '--process', path, 'c1']);

      expect([status, stdout]).toEqual([0, 'zero y\n5\n']);
    });

    test('that is detached has its pid in the pid file, and ends with its status for who takes it over', async () => {
      const bed = await container();
      const pidFile = join(bed.folder, 'detached.pid');
      const script = ['sh', '-c', 'while [ ! -e /go ]; do sleep 0.1; done; exit 43'];

      using manager = manage(pidFile, bed.commandLine('exec', '--detach', '--pid-file', pidFile, 'c1', ...script));
      await manager.until('created 0\n');
      await bed.call(['exec', 'c1', 'touch', '/go']);
      const shown = await manager.until('exited');

      expect(Number(readFileSync(pidFile, 'utf8'))).toBeGreaterThan(1);
      expect(shown).toContain('exited 43\n');
    });

    test('ends when its pid on the host is killed', async () => {
      const bed = await container();
      const pidFile = join(bed.folder, 'killed.pid');
      await bed.detached(['exec', '-d', '--pid-file', pidFile, 'c1', 'sleep', '1234']);
      const pid = Number(readFileSync(pidFile, 'utf8'));

      process.kill(pid, 'SIGKILL');
      await until(() => !isRunning(pid));

      for (;;) {
        const { stdout } = await bed.call(['exec', 'c1', 'ps', '-o', 'args']);
        if (!stdout.includes('sleep 1234')) break;
      }
      expect((await bed.state('c1')).status).toBe('running');
    });

    test('with a terminal has its master sent to the console socket', async () => {
      const bed = await container();
      const socket = join(bed.folder, 'console.sock');
      using console = await holdConsole(socket, []);

      const args = [
        'exec',
        '--tty',
        '--detach',
        '--console-socket',
        socket,
        'c1',
        'sh',
        '-c',
        'tty; read a; echo "<$a>"',
      ];
      const result = await bed.detached(args);
      console.type('typed\r');

      expect(result).toMatchObject({ status: 0, stderr: '' });
      expect(await console.until('<typed>')).toContain('/dev/pts/');
    });

    test.each([
      ['nosuch', 'executable file not found in $PATH'],
      ['/nosuch', 'no such file or directory'],
    ])('of %s ends with 255, and says why', async (program, message) => {
      const bed = await container();

      const result = await bed.call(['exec', 'c1', program]);

      expect(result.status).toBe(255);
      expect(result.stderr).toMatch(bed.words('exec failed: unable to start container process'));
      expect(result.stderr).toMatch(bed.words(message));
    });

    test('of many at once gives each its own output', async () => {
      const bed = await container();
      const numbers = [1, 2, 3, 4, 5, 6, 7, 8];

      const results = await Promise.all(numbers.map((number) => bed.call(['exec', 'c1', 'echo', String(number)])));

      expect(results.map(({ stdout }) => stdout)).toEqual(numbers.map((number) => `${number}\n`));
    });

    test('in a container that ends, ends with it', async () => {
      await using bed = await runningContainer(runtime);
      const exec = bed.call(['exec', 'c1', 'sh', '-c', 'echo up > /up; sleep 1000']);
      await until(
        () => readFileSync(join(bed.folder, 'bundle0/rootfs/up'), { encoding: 'utf8', flag: 'a+' }) === 'up\n',
      );

      await bed.call(['kill', 'c1', 'KILL']);

      expect((await exec).status).toBe(137);
      await bed.until('c1', 'stopped');
      expect((await bed.call(['delete', 'c1'])).status).toBe(0);
      expect(bed.leftovers()).toEqual([]);
    });

    test('goes into a container that has not been started, which it leaves as it was', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(shell('cat /left; sleep 1000')), 'c1']);

      const exec = await bed.call(['exec', 'c1', 'sh', '-c', 'echo in; echo left > /left; exit 4']);
      const created = await bed.state('c1');
      const started = await bed.call(['start', 'c1']);
      await until(() => bed.output('out') === 'left\n');

      expect(exec).toEqual({ status: 4, stdout: 'in\n', stderr: '' });
      expect(created.status).toBe('created');
      expect(started).toEqual({ status: 0, stdout: '', stderr: '' });
      expect((await bed.state('c1')).status).toBe('running');
    });

    test('in a container that is deleted without a start, ends with it', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(shell('true')), 'c1']);
      const exec = bed.call(['exec', 'c1', 'sh', '-c', 'echo up > /up; sleep 1000']);
      await until(
        () => readFileSync(join(bed.folder, 'bundle0/rootfs/up'), { encoding: 'utf8', flag: 'a+' }) === 'up\n',
      );

      const deleted = await bed.call(['delete', 'c1']);

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect((await exec).status).toBe(137);
      expect(bed.leftovers()).toEqual([]);
    });

    test('is refused where nothing runs', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['kill', 'c1', 'KILL']);
      await bed.until('c1', 'stopped');

      const stopped = await bed.call(['exec', 'c1', 'true']);
      const missing = await bed.call(['exec', 'nosuch', 'true']);

      expect(stopped.status).toBe(255);
      expect(stopped.stderr).toMatch(bed.words('cannot exec in a stopped container'));
      expect(missing.status).toBe(255);
      expect(missing.stderr).toMatch(bed.words('container does not exist'));
    });
  });

  describe('pause', () => {
    test('lets a container stand still until it is resumed', async () => {
      await using bed = await runningContainer(runtime, 'echo up; while :; do echo x >> /ticks; sleep 0.05; done');
      const ticks = () => readFileSync(join(bed.folder, 'bundle0/rootfs/ticks'), 'utf8').length;

      const paused = await bed.call(['pause', 'c1']);
      const state = await bed.state('c1');
      const before = ticks();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const after = ticks();
      const refused = await bed.call(['exec', 'c1', 'true']);
      const twice = await bed.call(['pause', 'c1']);
      const resumed = await bed.call(['resume', 'c1']);
      const again = await bed.call(['resume', 'c1']);
      await until(() => ticks() > after);

      expect([paused, resumed].map(({ status, stderr }) => [status, stderr])).toEqual([
        [0, ''],
        [0, ''],
      ]);
      expect(state.status).toBe('paused');
      expect(after).toBe(before);
      expect(refused.stderr).toMatch(bed.words('cannot exec in a paused container'));
      expect(twice.stderr).toMatch(bed.words('container not running'));
      expect(again.stderr).toMatch(bed.words('container not paused'));
      expect((await bed.state('c1')).status).toBe('running');
    });

    test('does not keep a container from being deleted by force', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['pause', 'c1']);

      const deleted = await bed.call(['delete', '--force', 'c1']);

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
