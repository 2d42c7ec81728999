// Containers that are saved with their VM, and go on from there: their streams, files and processes.
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mount, unmount } from '../../src/ffi/mount.unsafe.ts';
import { RuntimeBed, shell, until } from '../oci/harness.ts';
import { Conversation, holdConsole } from '../oci/helpers.ts';

const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };
/** Counts the lines that it is given, and says so to a file that it keeps open. */
const COUNT = 'exec 7> /volume/kept; n=0; while read line; do n=$((n+1)); echo "$n $line"; echo $n >&7; done; exit $n';

function converse(bed: RuntimeBed, ...args: readonly string[]): Conversation {
  const [program = '', ...rest] = bed.commandLine(...args);
  return new Conversation(program, rest);
}

async function statusOf({ child }: Conversation): Promise<number | null> {
  return child.exitCode ?? (await once(child, 'close'))[0];
}

function countingBundle(bed: RuntimeBed): { bundle: string; kept: string } {
  const volume = join(bed.folder, 'volume');
  mkdirSync(volume);
  const mounts = [{ type: 'bind', source: volume, destination: '/volume', options: ['rbind'] }];
  return { bundle: bed.bundle({ ...shell(COUNT), mounts }), kept: join(volume, 'kept') };
}

test('a container that is left running and its copies go on, each by itself, with what they have open', async () => {
  await using bed = new RuntimeBed(tskata);
  const { bundle, kept } = countingBundle(bed);
  const image = join(bed.folder, 'image');
  using first = converse(bed, 'run', '-b', bundle, 'c1');
  first.type('a\n');
  await first.until('1 a\n');
  await bed.detached(['exec', '--detach', 'c1', 'sleep', '1000']);

  const saved = await bed.call(['checkpoint', '--leave-running', '--image-path', image, 'c1']);
  first.type('b\n');
  const shown = await first.until('2 b\n');
  first.endInput();
  const firstStatus = await statusOf(first);
  using copy = converse(bed, 'restore', '-b', bundle, '--image-path', image, 'c2');
  copy.type('c\nd\n');
  await copy.until('3 d\n');
  const processes = await bed.call(['ps', 'c2']);
  const { status: state } = await bed.state('c2');
  const again = await bed.call(['checkpoint', '--image-path', image, 'c2']);
  const copyStatus = await statusOf(copy);
  const left = bed.leftovers();
  using last = converse(bed, 'restore', '-b', bundle, '--image-path', image, 'c2');
  last.type('e\n');
  last.endInput();
  const lastStatus = await statusOf(last);

  expect(saved).toEqual({ status: 0, stdout: '', stderr: '' });
  expect([shown, firstStatus]).toEqual(['1 a\n2 b\n', 2]);
  // What ran beside its init had a caller who knows nothing of the copy.
  expect(processes.stdout).not.toContain('sleep');
  expect(state).toBe('running');
  expect([again.status, again.stderr, copyStatus]).toEqual([0, '', 137]);
  expect(await copy.until('')).toBe('2 c\n3 d\n');
  expect(left).toEqual([]);
  expect([await last.until(''), lastStatus]).toEqual(['4 e\n', 4]);
  expect(readFileSync(kept, 'utf8')).toBe('1\n2\n3\n4\n');
  expect(readdirSync(image).toSorted()).toEqual(['checkpoint.json', expect.stringMatching(/^vm-/)]);
  expect(bed.leftovers()).toEqual([]);
});

test('a container that is paused, whose VM has grown, has another terminal in its copy, and as much memory', async () => {
  await using bed = new RuntimeBed(tskata);
  const script = 'while read line; do echo "got $line at $(stty size)"; done';
  const bundle = bed.bundle({ ...shell(script), terminal: true });
  const image = join(bed.folder, 'image');
  const [socket, newSocket] = [join(bed.folder, 'console.sock'), join(bed.folder, 'new.sock')];
  using console = await holdConsole(socket, [50, 132]);
  await bed.detached(['run', '--detach', '-b', bundle, '--console-socket', socket, 'c1']);
  console.type('one\r');
  await console.until('got one at ');
  const memory = async (): Promise<string> =>
    (await bed.call(['exec', 'c1', 'grep', 'MemTotal', '/proc/meminfo'])).stdout;
  const before = await memory();
  await bed.call(['update', '--memory', '700m', 'c1']);
  const grown = await memory();
  await bed.call(['pause', 'c1']);

  const saved = await bed.call(['checkpoint', '--image-path', image, 'c1']);
  using newConsole = await holdConsole(newSocket);
  const restored = await bed.detached([
    ...['restore', '--detach', '-b', bundle, '--console-socket', newSocket, '--image-path', image],
    ...['--pid-file', join(bed.folder, 'pid'), 'c1'],
  ]);
  const { status, pid } = await bed.state('c1');
  newConsole.type('two\r');
  const shown = await newConsole.until('got two at ');
  const restoredMemory = await memory();

  expect(saved).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(restored).toEqual({ status: 0, stdout: '', stderr: '' });
  expect([status, pid]).toEqual(['running', Number(readFileSync(join(bed.folder, 'pid'), 'utf8'))]);
  expect(shown).not.toContain('one');
  expect(grown).not.toBe(before);
  expect(restoredMemory).toBe(grown);
});

test('a container that cannot be saved goes on, and nothing is left of the attempt', async () => {
  await using bed = new RuntimeBed(tskata);
  const { bundle } = countingBundle(bed);
  const small = join(bed.folder, 'small');
  mkdirSync(small);
  mount({ source: 'small', target: small, type: 'tmpfs', flags: 0, data: 'size=1m' });
  using unmounted = new DisposableStack();
  unmounted.defer(() => unmount(small, { detach: true }));
  using running = converse(bed, 'run', '-b', bundle, 'c1');
  running.type('a\n');
  await running.until('1 a\n');

  const full = await bed.call(['checkpoint', '--image-path', small, 'c1']);
  const afterFull = readdirSync(small);
  const killed = bed.spawn('checkpoint', '--image-path', join(bed.folder, 'killed'), 'c1');
  await until(() => existsSync(join(bed.folder, 'killed')) && readdirSync(join(bed.folder, 'killed')).length > 0);
  killed.kill('SIGKILL');
  running.type('b\n');
  await running.until('2 b\n');
  running.endInput();

  expect(full.status).toBe(1);
  expect(full.stderr).toMatch(/cannot checkpoint container c1: .*ENOSPC/);
  expect(afterFull).toEqual([]);
  expect(await statusOf(running)).toBe(2);
});
