// `tsvm ctl` against a VM that only keeps what was asked of it, and what a person reads when it cannot be done.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ApiServer, serveApi } from '../api/server.ts';
import { FakeVm } from '../api/testing/fake-vm.ts';
import { runTsvm } from './tsvm.ts';

let folder: string;
let vm: FakeVm;
let server: ApiServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-ctl-'));
  vm = new FakeVm();
  server = await serveApi(join(folder, 'api.sock'), vm);
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Types `tsvm ARGS`; FOLDER is the test's. */
async function type(...args: string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += Buffer.isBuffer(text) || typeof text === 'string' ? text : Buffer.from(text).toString();
      return true;
    }),
  );
  const status = await runTsvm(args.map((arg) => arg.replace('FOLDER', folder)));
  for (const spy of spies) spy.mockRestore();
  return { status, ...said };
}

const ctl = (...args: string[]): Promise<Said> => type('ctl', '--api-socket', 'FOLDER/api.sock', ...args);

describe('tsvm ctl', () => {
  test('state is for a person', async () => {
    const { status, stdout } = await ctl('state');

    expect(stdout).toMatch(/^state +running$/m);
    expect(stdout).toMatch(/^memory +128 MiB, up to 512 MiB$/m);
    expect(stdout).toMatch(/^device net +net0$/m);
    expect(status).toBe(0);
  });

  test('state --json is for programs', async () => {
    const { stdout } = await ctl('state', '--json');

    expect(JSON.parse(stdout)).toMatchObject({ state: 'running', machine: { cpus: 2, guestCid: 3 } });
  });

  test('the socket may be named behind the verb', async () => {
    expect((await type('ctl', 'state', '--api-socket', 'FOLDER/api.sock')).status).toBe(0);
  });

  test('pause and resume do so', async () => {
    const paused = await ctl('pause');
    expect([paused, vm.state]).toEqual([{ status: 0, stdout: '', stderr: '' }, 'paused']);
    await ctl('resume');
    expect(vm.state).toBe('running');
  });

  test('shutdown tells why the VM ended', async () => {
    const said = ctl('shutdown', '--method', 'ctrl-alt-del');
    await vi.waitUntil(() => vm.asked.length > 0);
    vm.end({ kind: 'guest-reset' });

    expect(await said).toEqual({ status: 0, stdout: 'the VM has ended: the guest reset the machine\n', stderr: '' });
    expect(vm.asked).toEqual(['shutdown ctrl-alt-del']);
  });

  test('shutdown of a guest that does not end kills it, with status 124', async () => {
    const { status, stdout } = await ctl('shutdown', '--timeout', '0.01');

    expect(stdout).toContain('did not end within 0.01 s');
    expect(status).toBe(124);
  });

  test('kill tells why the VM ended', async () => {
    expect((await ctl('kill')).stdout).toBe('the VM has ended: the VM was ended from outside\n');
  });

  test.each([
    [['ctl', '--api-socket', 'FOLDER/api.sock', 'snapshot', '/s'], 'snapshot /s and resume'],
    [['snapshot', '--api-socket', 'FOLDER/api.sock', '/s', '--pause'], 'snapshot /s'],
    [['snapshot', '--api-socket', 'FOLDER/api.sock', 's'], `snapshot ${process.cwd()}/s and resume`],
    [['ctl', '--api-socket', 'FOLDER/api.sock', 'balloon', '64M'], 'balloon 64'],
    [['ctl', '--api-socket', 'FOLDER/api.sock', 'link', 'net0', 'down'], 'link net0 down'],
  ])('%j asks for "%s"', async (args, asked) => {
    expect(await type(...args)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(vm.asked).toEqual([asked]);
  });

  test('balloon tells what it holds', async () => {
    expect((await ctl('balloon')).stdout).toBe(
      'target             64 MiB\nactual             32 MiB\nfree_memory_bytes  4.0 KiB\n',
    );
  });

  test('resize tells what the guest has then', async () => {
    expect((await ctl('resize', '--memory', '256M', '--cpus', '3')).stdout).toBe('memory  256 MiB\ncpus    3\n');
    expect((await ctl('resize', '--memory', '192')).stdout).toBe('memory  192 MiB\n');
    expect(JSON.parse((await ctl('resize', '--cpus', '1', '--json')).stdout)).toEqual({ memoryMib: 128, cpus: 1 });
  });

  test('metrics are a table, or JSON', async () => {
    expect((await ctl('metrics')).stdout).toMatch(/^ {2}KVM_EXIT_IO +7$/m);
    expect(JSON.parse((await ctl('metrics', '--json')).stdout)).toMatchObject({ exits: { KVM_EXIT_IO: 7 } });
  });

  test('events are lines, until the VM ends', async () => {
    const said = ctl('events');
    await vi.waitUntil(() => vm.watchers === 1);
    vm.events.emit({ kind: 'device-failed', device: 'net0', message: 'a bad ring' });
    vm.kill();
    const { status, stdout } = await said;

    expect(stdout.replaceAll(/^\S+Z /gm, '').split('\n')).toEqual([
      'watching, running',
      'device-failed net0: a bad ring',
      'stopped: the VM was ended from outside',
      '',
    ]);
    expect(status).toBe(0);
  });

  test.each([
    ['in the wrong state', ['resume'], 1, /the VM is running, not paused/],
    ['with a device that there is not', ['link', 'eth9', 'up'], 1, /no network device eth9/],
    ['with a link that is neither up nor down', ['link', 'net0', 'sideways'], 2, /Allowed choices are up, down/],
    ['with half a processor', ['resize', '--cpus', '0.5'], 2, /It must be a whole number/],
    ['with a size that is none', ['balloon', 'much'], 2, /a size such as 128M/],
    ['with a method that there is not', ['shutdown', '--method', 'ask'], 2, /Allowed choices are acpi/],
    ['with a time that is none', ['shutdown', '--timeout', '-1'], 2, /a number of seconds/],
    ['with a verb that there is not', ['frob'], 2, /unknown command 'frob'/],
    ['with a console that there is not', ['console', 'tty1'], 2, /Allowed choices are serial, hvc0/],
    ['read-only and taking over', ['console', '--read-only', '--take-over'], 2, /cannot be used with/],
  ])('%s fails and says why', async (_what, args, status, message) => {
    const said = await ctl(...args);

    expect(said.stderr).toMatch(message);
    expect(said.status).toBe(status);
  });

  test.each([
    ['no socket', 'none', /there is no such socket/],
    ['a file', 'file', /nobody listens there/],
  ])('with %s says so', async (_what, name, message) => {
    writeFileSync(join(folder, 'file'), '');

    const { status, stderr } = await type('ctl', '--api-socket', `FOLDER/${name}`, 'state');

    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });

  test('needs a socket', async () => {
    const { status, stderr } = await type('ctl', 'state');

    expect(stderr).toContain("'--api-socket <path>' not specified");
    expect(status).toBe(2);
  });
});

describe('tsvm', () => {
  test('boot --paused without an API is refused: nobody could resume it', async () => {
    const { status, stderr } = await type('boot', '--kernel', 'k', '--paused');

    expect(stderr).toContain('--paused needs --api-socket');
    expect(status).toBe(2);
  });

  test('restore of what is no snapshot says so', async () => {
    const { status, stderr } = await type('restore', 'FOLDER');

    expect(stderr).toContain(folder);
    expect(status).toBe(1);
  });

  test('boot and restore load gRPC only for an API', () => {
    const script = `await import('./src/cli/tsvm.ts'); await import('./src/cli/tsvm-boot.ts');
await import('./src/cli/tsvm-restore.ts');
const { createRequire } = await import('node:module');
console.log(Object.keys(createRequire(import.meta.url).cache).filter((name) => name.includes('grpc')).length);`;
    const count = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    });

    expect(count.trim()).toBe('0');
  });

  test.each([
    [['--help']],
    [['boot', '--help']],
    [['restore', '--help']],
    [['snapshot', '--help']],
    [['ctl', '--help']],
  ])('%j tells exit statuses or verbs, with status 0', async (args) => {
    const { status, stdout } = await type(...args);

    expect(stdout).toMatch(/Exit status|Commands:/);
    expect(status).toBe(0);
  });
});
