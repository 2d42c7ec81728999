// `npm run host` from the outside. Each start of the emulated host costs seconds, so tests share one where they can.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collector } from '../../scripts/lib/collector.ts';
import { DEFAULT_SIZE, type HostCommand, runEmulated } from '../../scripts/lib/host.ts';
import { EmulatedHost } from '../../scripts/lib/host-machine.ts';
import { buildDirectory, pinnedNode, projectDirectory } from '../../scripts/lib/paths.ts';

interface Output {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const folder = join(buildDirectory, 'testbed-test');

beforeAll(() => {
  mkdirSync(folder, { recursive: true });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a command on the emulated host', () => {
  let host: EmulatedHost;

  async function run(command: readonly string[], options: Partial<HostCommand> = {}): Promise<Output> {
    const [stdout, stderr] = [collector(), collector()];
    const status = await runEmulated(host, {
      command,
      stdin: 'none',
      stdout: stdout.stream,
      stderr: stderr.stream,
      ...options,
    });
    return { status, stdout: stdout.bytes(), stderr: stderr.bytes() };
  }

  beforeAll(async () => {
    host = await EmulatedHost.start(DEFAULT_SIZE);
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
  });

  test.each([0, 1, 42, 255])('passes its exit status %i through', async (status) => {
    expect((await run(['sh', '-c', `exit ${status}`])).status).toBe(status);
  });

  test('ends with 128 + 9 when SIGKILL ended it', async () => {
    expect((await run(['sh', '-c', 'kill -9 $$'])).status).toBe(137);
  });

  test('ends with 127 and says so when there is no such program', async () => {
    const { status, stderr } = await run(['no-such-program']);
    expect(status).toBe(127);
    expect(stderr.toString()).toContain('no-such-program');
  });

  test('keeps stdout and stderr apart', async () => {
    const { stdout, stderr } = await run(['sh', '-c', 'echo to stdout; echo to stderr >&2']);
    expect(stdout.toString()).toBe('to stdout\n');
    expect(stderr.toString()).toBe('to stderr\n');
  });

  test('can open its standard streams again by name', async () => {
    const { stdout, stderr } = await run(['sh', '-c', 'echo a > /dev/stdout; echo b > /dev/stderr']);
    expect(stdout.toString()).toBe('a\n');
    expect(stderr.toString()).toBe('b\n');
  });

  test('passes a mebibyte of any bytes through on both streams', async () => {
    const bytes = randomBytes(1 << 20);
    writeFileSync(join(folder, 'random'), bytes);
    const { stdout, stderr } = await run(['sh', '-c', 'cat random & cat random >&2; wait'], { folder });
    expect(sha256(stdout)).toBe(sha256(bytes));
    expect(sha256(stderr)).toBe(sha256(bytes));
  });

  test('reads its standard input to the end', async () => {
    const bytes = randomBytes(1 << 20);
    const { stdout } = await run(['cat'], {
      stdin: Readable.from([bytes.subarray(0, 100_001), bytes.subarray(100_001)]),
    });
    expect(sha256(stdout)).toBe(sha256(bytes));
  });

  test('ends although it reads nothing of a long input', async () => {
    const { status } = await run(['true'], { stdin: Readable.from([randomBytes(1 << 20)]) });
    expect(status).toBe(0);
  });

  test('gets its arguments as they are', async () => {
    const args = ['', 'two words', "it's", '"quoted"', 'line\nbreak', '$HOME *', '\\', 'ünïcode', '%', '-x'];
    const program = 'for (const a of process.argv.slice(1)) process.stdout.write(a + "\\0")';
    const { stdout } = await run([pinnedNode, '-e', program, '--', ...args]);
    expect(stdout.toString().split('\0').slice(0, -1)).toEqual(args);
  });

  test('runs in the folder asked for, else in the project', async () => {
    expect((await run(['pwd'], { folder })).stdout.toString()).toBe(`${folder}\n`);
    expect((await run(['pwd'], { folder: '/' })).stdout.toString()).toBe(`${projectDirectory}\n`);
  });

  test('is killed when its time is up', async () => {
    const startMs = performance.now();
    const { status } = await run(['sleep', '100'], { timeoutMs: 500 });
    expect(status).toBe(124);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  test('leaves the host usable after its time was up', async () => {
    await run(['sleep', '100'], { timeoutMs: 200 });
    expect((await run(['true'])).status).toBe(0);
  });

  test('has a terminal of the size asked for when it asks for one', async () => {
    const { stream, bytes } = collector();
    const command = { command: ['sh', '-c', 'tty; stty size'], stdin: 'none', stdout: stream } as const;
    expect(await runEmulated(host, command, { rows: 33, columns: 101 })).toBe(0);
    expect(bytes().toString()).toBe('/dev/pts/0\r\n33 101\r\n');
  });

  test('writes into the project what is seen outside, and sees at once what is written outside', async () => {
    const file = join(folder, 'shared');
    const turns = [];
    for (let turn = 0; turn < 5; turn++) {
      writeFileSync(file, `outside ${turn}`);
      turns.push((await run(['cat', file])).stdout.toString());
      await run(['sh', '-c', 'printf "inside $1" "$2" > "$0"', file, '%s', String(turn)]);
      turns.push(readFileSync(file, 'utf8'));
    }
    expect(turns).toEqual([0, 1, 2, 3, 4].flatMap((turn) => [`outside ${turn}`, `inside ${turn}`]));
  });

  test('cannot write into the cache', async () => {
    const { status } = await run(['sh', '-c', 'touch "$TSKATA_CACHE/x"']);
    expect(status).not.toBe(0);
  });
});

describe('npm run host', () => {
  /** Processes that serve or are an emulated host started by a process of this id, told by their scratch folder. */
  function left(pid: number): string[] {
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return processes
      .map((name) => readOrEmpty(`/proc/${name}/cmdline`).replaceAll('\0', ' '))
      .filter((line) => line.includes(`tskata-host-${pid}-`));
  }

  function readOrEmpty(path: string): string {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  }

  function start(args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
    const script = join(projectDirectory, 'scripts/host.ts');
    return spawn(pinnedNode, [script, '--emulated', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async function outputOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Output> {
    const [stdout, stderr] = [collector(), collector()];
    child.stdout.pipe(stdout.stream);
    child.stderr.pipe(stderr.stream);
    const [status] = await once(child, 'close');
    return { status, stdout: stdout.bytes(), stderr: stderr.bytes() };
  }

  test('passes streams and status through, tells its choice in one line, twice at once, and leaves nothing', async () => {
    const children = ['3', '4'].map((status) => start(['sh', '-c', `echo out; echo err >&2; exit ${status}`]));
    const outputs = await Promise.all(children.map(outputOf));
    expect(outputs.map(({ status }) => status)).toEqual([3, 4]);
    expect(outputs.map(({ stdout }) => stdout.toString())).toEqual(['out\n', 'out\n']);
    const stderr = 'tskata: running on the emulated host: asked for by --emulated\nerr\n';
    expect(outputs.map((output) => output.stderr.toString())).toEqual([stderr, stderr]);
    expect(children.flatMap((child) => left(child.pid ?? 0))).toEqual([]);
  });

  test.each([
    ['SIGKILL', null],
    ['SIGTERM', 143],
  ] as const)('leaves nothing running when %s ends it', async (signal, status) => {
    const child = start(['sh', '-c', 'echo here; sleep 100']);
    await once(child.stdout, 'data');
    expect(left(child.pid ?? 0)).not.toEqual([]);
    child.kill(signal);
    expect((await once(child, 'exit'))[0]).toBe(status);
    await expect.poll(() => left(child.pid ?? 0), { timeout: 5000 }).toEqual([]);
  });

  test('says what is wrong with its options, and ends with status 2', async () => {
    const { status, stderr } = await outputOf(start(['--keep']));
    expect(status).toBe(2);
    expect(stderr.toString()).toContain('needs a terminal');
  });
});
