// The API over a real socket, with a VM that only keeps what was asked of it.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type ClientDuplexStream, type ClientReadableStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERROR_CODE_KEY } from './call-error.ts';
import { VmClient } from './client.ts';
import { CONSOLE_BACKLOG_BYTES } from './console-backlog.ts';
import { type ApiServer, serveApi } from './server.ts';
import { FakeVm } from './testing/fake-vm.ts';
import {
  ConsoleMode,
  type ConsoleRequest,
  type ConsoleResponse,
  type Event,
  ShutdownMethod,
  State,
} from './vmm.gen.ts';

let folder: string;
let path: string;
let vm: FakeVm;
let server: ApiServer;
let client: VmClient;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-api-'));
  path = join(folder, 'api.sock');
  vm = new FakeVm();
  server = await serveApi(path, vm);
  client = await VmClient.connect(path);
});
afterEach(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Collects what a stream brings, and how it ends. */
function collect<Message>(stream: ClientReadableStream<Message> | ClientDuplexStream<unknown, Message>): {
  readonly messages: Message[];
  /** The status code, once the stream has ended. */
  readonly ended: Promise<status>;
} {
  const messages: Message[] = [];
  stream.on('data', (message: Message) => messages.push(message));
  stream.on('error', () => undefined);
  const ended = new Promise<status>((resolve) => stream.once('status', ({ code }) => resolve(code)));
  return { messages, ended };
}

/** Takes the first message and nothing more. A stream that was never read is not held back by grpc-js. */
async function stopReading(stream: Readable): Promise<void> {
  stream.on('error', () => undefined);
  await once(stream, 'data');
  stream.pause();
}

function attach(console: string, mode: ConsoleMode) {
  const stream = client.calls.attachConsole();
  const { messages, ended } = collect<ConsoleResponse>(stream);
  stream.write({ request: { $case: 'attach', value: { console, mode } } });
  const output = (): string =>
    messages
      .map(({ response }) => (response?.$case === 'output' ? Buffer.from(response.value).toString() : ''))
      .join('');
  const cases = (): (string | undefined)[] => messages.map(({ response }) => response?.$case);
  const type = (text: string): boolean => stream.write(inputMessage(text));
  return { stream, messages, ended, output, cases, type };
}

const inputMessage = (text: string): ConsoleRequest => ({ request: { $case: 'input', value: Buffer.from(text) } });
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('the calls of one answer', () => {
  test('tell what the VM is made of and what it does', async () => {
    const answer = await client.call((calls) => calls.getState, {});

    expect(answer).toMatchObject({ state: State.RUNNING, uptimeMs: 1500, pid: process.pid });
    expect(answer.machine).toEqual({
      cpus: 2,
      memoryMib: 128,
      maxCpus: 4,
      maxMemoryMib: 512,
      kernelPath: '/boot/vmlinux',
      initrdPath: '',
      commandLine: 'quiet',
      guestCid: 3,
      devices: [
        { name: 'root.raw', type: 'block' },
        { name: 'net0', type: 'net' },
      ],
      consoles: ['serial', 'hvc0'],
    });
  });

  test('pause and resume', async () => {
    await client.call((calls) => calls.pause, {});
    const paused = await client.call((calls) => calls.getState, {});
    await client.call((calls) => calls.resume, {});
    const resumed = await client.call((calls) => calls.getState, {});

    expect([paused.state, resumed.state]).toEqual([State.PAUSED, State.RUNNING]);
  });

  test('tell the metrics', async () => {
    expect(await client.call((calls) => calls.getMetrics, {})).toEqual({
      uptimeMs: 1500,
      exits: { KVM_EXIT_IO: 7 },
      devices: [{ name: 'root.raw', type: 'block', counters: { read_bytes: 512 } }],
      memory: { residentBytes: 5, peakResidentBytes: 6, anonymousBytes: 1, fileBytes: 2, sharedBytes: 2 },
    });
  });

  test('set balloon, link and terminal, and take a snapshot', async () => {
    await client.call((calls) => calls.setBalloon, { targetMib: 64 });
    await client.call((calls) => calls.setLink, { device: 'net0', up: false });
    await client.call((calls) => calls.resizeConsole, { columns: 80, rows: 25 });
    await client.call((calls) => calls.snapshot, { directory: '/s', resume: true });

    expect(vm.asked).toEqual(['balloon 64', 'link net0 down', 'resize 80x25', 'snapshot /s and resume']);
    expect(await client.call((calls) => calls.getBalloonStats, {})).toEqual({
      targetMib: 64,
      actualMib: 32,
      statistics: { free_memory_bytes: 4096 },
    });
  });

  test('resize the guest, and tell what it has', async () => {
    expect(await client.call((calls) => calls.resize, { memoryMib: 256, cpus: 3 })).toEqual({
      memoryMib: 256,
      cpus: 3,
    });
    expect(await client.call((calls) => calls.resize, {})).toEqual({ memoryMib: 128 });
    expect(vm.asked).toEqual(['resize to 256 MiB and 3 cpus', 'resize to 128 MiB and as many cpus']);
  });

  test('tell numbers that a guest made up as what fits', async () => {
    vm.balloon = { targetMib: 1.5, actualMib: 0.25, statistics: { huge: 2 ** 64, odd: -1, none: Number.NaN } };

    expect(await client.call((calls) => calls.getBalloonStats, {})).toEqual({
      targetMib: 1,
      actualMib: 0,
      statistics: { huge: Number.MAX_SAFE_INTEGER, odd: 0, none: 0 },
    });
  });

  test('kill, and tell why the VM ended', async () => {
    const { stopped } = await client.call((calls) => calls.kill, {});

    expect(stopped).toEqual({ reason: 'killed', message: 'the VM was ended from outside' });
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.ENDED);
  });

  test('a shutdown is answered when the guest has ended', async () => {
    const answer = client.call((calls) => calls.shutdown, { method: ShutdownMethod.CTRL_ALT_DEL, timeoutMs: 0 });
    await expect.poll(() => vm.asked).toEqual(['shutdown ctrl-alt-del']);
    vm.end({ kind: 'guest-reset' });

    expect(await answer).toMatchObject({ stopped: { reason: 'guest-reset' }, timedOut: false });
  });

  test('a guest that does not end in time is killed', async () => {
    const answer = await client.call((calls) => calls.shutdown, { method: ShutdownMethod.ACPI, timeoutMs: 1 });

    expect(vm.asked).toEqual(['shutdown acpi']);
    expect(answer).toMatchObject({ stopped: { reason: 'killed' }, timedOut: true });
  });
});

describe('errors', () => {
  test('the wrong state is FAILED_PRECONDITION, with the code of the error for programs', async () => {
    const failure = await new Promise<ServiceError | null>((resolve) =>
      client.calls.resume({}, (error) => resolve(error)),
    );

    expect(failure).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'the VM is running, not paused' });
    expect(failure?.metadata.get(ERROR_CODE_KEY)).toEqual(['WRONG_STATE']);
  });

  test.each([
    ['a balloon beyond memory', () => client.call((c) => c.setBalloon, { targetMib: 999 }), 'INVALID_ARGUMENT'],
    ['memory that it cannot have', () => client.call((c) => c.resize, { memoryMib: 513 }), 'INVALID_ARGUMENT'],
    ['an unknown device', () => client.call((c) => c.setLink, { device: 'x', up: true }), 'NOT_FOUND'],
    ['a part that is not there', () => client.call((c) => c.setLink, { device: 'none', up: true }), 'UNIMPLEMENTED'],
    ['no columns', () => client.call((c) => c.resizeConsole, { columns: 0, rows: 9 }), 'INVALID_ARGUMENT'],
    ['too many rows', () => client.call((c) => c.resizeConsole, { columns: 9, rows: 65_536 }), 'INVALID_ARGUMENT'],
    ['a relative folder', () => client.call((c) => c.snapshot, { directory: 's', resume: true }), 'INVALID_ARGUMENT'],
    ['a full disk', () => client.call((c) => c.snapshot, { directory: '/full', resume: true }), 'RESOURCE_EXHAUSTED'],
    ['what nobody foresaw', () => client.call((c) => c.snapshot, { directory: '/odd', resume: true }), 'INTERNAL'],
    [
      'a method that there is not',
      () => client.call((c) => c.shutdown, { method: 9 as ShutdownMethod, timeoutMs: 0 }),
      'INVALID_ARGUMENT',
    ],
  ])('%s', async (_what, call, code) => {
    await expect(call()).rejects.toMatchObject({ code });
  });

  test('a request that is too large is refused, and the connection stays', async () => {
    const directory = `/${'x'.repeat(70_000)}`;

    await expect(client.call((calls) => calls.snapshot, { directory, resume: true })).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
    });
    await expect(client.call((calls) => calls.getState, {})).resolves.toMatchObject({ state: State.RUNNING });
  });

  test('a call over its deadline is answered so', async () => {
    const call = client.call((calls) => calls.shutdown, { method: ShutdownMethod.ACPI, timeoutMs: 0 }, 50);

    await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(vm.state).toBe('running');
  });

  test('bytes that are no message are refused', async () => {
    const failure = new Promise<ServiceError | null>((resolve) =>
      client.calls.makeUnaryRequest(
        '/tskata.vmm.v1.VirtualMachine/SetLink',
        () => Buffer.from([0x0a, 0x7f, 1]),
        () => ({}),
        {},
        new Metadata(),
        (error) => resolve(error),
      ),
    );

    expect((await failure)?.code).toBe(status.INTERNAL);
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.RUNNING);
  });

  test('bytes that are no HTTP/2 disturb nobody', async () => {
    const socket = netConnect(path);
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(10));
    await once(socket, 'close');

    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.RUNNING);
  });
});

describe('events', () => {
  const cases = (messages: readonly Event[]): (string | undefined)[] => messages.map(({ event }) => event?.$case);

  test('come from the call on, and end with the VM', async () => {
    const { messages, ended } = collect<Event>(client.calls.watchEvents({}));
    await expect.poll(() => cases(messages)).toEqual(['watching']);
    await client.call((calls) => calls.pause, {});
    await client.call((calls) => calls.resume, {});
    vm.events.emit({ kind: 'device-failed', device: 'net0', message: 'a bad ring' });
    await client.call((calls) => calls.snapshot, { directory: '/s', resume: false });
    vm.end({ kind: 'guest-reset' });

    expect(await ended).toBe(status.OK);
    expect(cases(messages)).toEqual(['watching', 'paused', 'resumed', 'deviceFailed', 'snapshotTaken', 'stopped']);
    expect(messages[3]?.event?.value).toEqual({ device: 'net0', message: 'a bad ring' });
  });

  test('a stream begun after the end tells so and ends', async () => {
    vm.kill();
    const { messages, ended } = collect<Event>(client.calls.watchEvents({}));

    expect(await ended).toBe(status.OK);
    expect(messages[0]?.event?.value).toEqual({ state: State.ENDED });
  });

  test('a caller that does not read is cut off, and the others are served', async () => {
    using other = await VmClient.connect(path);
    const slow = other.calls.watchEvents({});
    await stopReading(slow);
    const slowEnd = new Promise<ServiceError>((resolve) => slow.once('error', resolve));
    const { messages } = collect<Event>(client.calls.watchEvents({}));
    await expect.poll(() => messages.length).toBe(1);
    const message = 'x'.repeat(1000);
    for (let sent = 1; sent <= 3000; sent++) {
      vm.events.emit({ kind: 'device-failed', device: 'net0', message });
      while (sent % 100 === 0 && messages.length <= sent) await new Promise((resolve) => setImmediate(resolve));
    }
    slow.resume();

    expect((await slowEnd).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(messages).toHaveLength(3001);
  });
});

describe('consoles', () => {
  test('two callers read all, the one who may writes', async () => {
    const writer = attach('hvc0', ConsoleMode.READ_WRITE);
    const reader = attach('', ConsoleMode.READ_ONLY);
    await expect.poll(() => [writer.cases(), reader.cases()]).toEqual([['attached'], ['attached']]);
    vm.consoles.hvc0.output(bytes('login: '));
    reader.type('dropped');
    writer.type('root\n');

    await expect.poll(() => [writer.output(), reader.output()]).toEqual(['login: ', 'login: ']);
    await expect.poll(() => vm.typed).toBe('root\n');
    expect(reader.messages[0]?.response?.value).toEqual({ console: 'hvc0' });
  });

  test('a second writer is refused, or takes over', async () => {
    const first = attach('serial', ConsoleMode.READ_WRITE);
    await expect.poll(first.cases).toEqual(['attached']);
    const refused = attach('serial', ConsoleMode.READ_WRITE);
    expect(await refused.ended).toBe(status.FAILED_PRECONDITION);
    const second = attach('serial', ConsoleMode.TAKE_OVER);
    await expect.poll(first.cases).toEqual(['attached', 'inputTaken']);
    first.type('from the first');
    second.type('from the second');

    await expect.poll(() => vm.typed).toBe('from the second');
  });

  test('the right to write is free again when the writer has gone', async () => {
    const first = attach('serial', ConsoleMode.READ_WRITE);
    await expect.poll(first.cases).toEqual(['attached']);
    first.stream.cancel();
    await first.ended;

    await expect
      .poll(async () => {
        const next = attach('serial', ConsoleMode.READ_WRITE);
        await expect.poll(() => next.cases().length).toBe(1);
        return next.cases();
      })
      .toEqual(['attached']);
  });

  test('a caller that has said all still reads', async () => {
    const reader = attach('serial', ConsoleMode.READ_WRITE);
    reader.stream.end();
    await expect.poll(reader.cases).toEqual(['attached']);
    vm.consoles.serial.output(bytes('after the end of its input'));

    await expect.poll(reader.output).toBe('after the end of its input');
  });

  test.each<[string, ConsoleRequest, status]>([
    ['input before attach', inputMessage('x'), status.INVALID_ARGUMENT],
    ['an empty message', { request: undefined }, status.INVALID_ARGUMENT],
    [
      'a console that nobody knows',
      { request: { $case: 'attach', value: { console: 'tty9', mode: ConsoleMode.READ_ONLY } } },
      status.INVALID_ARGUMENT,
    ],
    [
      'a mode that there is not',
      { request: { $case: 'attach', value: { console: 'serial', mode: 9 as ConsoleMode } } },
      status.INVALID_ARGUMENT,
    ],
  ])('%s is refused', async (_what, message, code) => {
    const stream = client.calls.attachConsole();
    const { ended } = collect(stream);
    stream.write(message);

    expect(await ended).toBe(code);
  });

  test('a caller that attaches twice is refused', async () => {
    const { stream, ended } = attach('serial', ConsoleMode.READ_ONLY);
    stream.write({ request: { $case: 'attach', value: { console: 'serial', mode: ConsoleMode.READ_ONLY } } });

    expect(await ended).toBe(status.INVALID_ARGUMENT);
  });

  test('a caller that does not read loses the oldest output and learns how much', async () => {
    using other = await VmClient.connect(path);
    const stream = other.calls.attachConsole();
    stream.write({ request: { $case: 'attach', value: { console: 'serial', mode: ConsoleMode.READ_ONLY } } });
    await stopReading(stream);
    const fast = attach('serial', ConsoleMode.READ_ONLY);
    await expect.poll(fast.cases).toEqual(['attached']);
    const chunk = new Uint8Array(16 * 1024);
    const chunks = (8 * CONSOLE_BACKLOG_BYTES) / chunk.length;
    for (let index = 0; index < chunks; index++) {
      vm.consoles.serial.output(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    let received = 0;
    let lost = 0;
    stream.on('data', ({ response }: ConsoleResponse) => {
      if (response?.$case === 'output') received += response.value.length;
      if (response?.$case === 'lostBytes') lost += response.value;
    });
    stream.resume();

    await expect.poll(() => received + lost, { timeout: 10_000 }).toBe(8 * CONSOLE_BACKLOG_BYTES);
    expect(lost).toBeGreaterThan(0);
    await expect.poll(() => fast.output().length, { timeout: 10_000 }).toBe(8 * CONSOLE_BACKLOG_BYTES);
    expect(fast.cases()).not.toContain('lostBytes');
  });

  test('a guest that does not read makes the writer wait, and nobody else', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    vm.room = promise;
    const writer = attach('serial', ConsoleMode.READ_WRITE);
    await expect.poll(writer.cases).toEqual(['attached']);
    const piece = 'x'.repeat(32 * 1024);
    while (writer.type(piece)) await new Promise((resolve) => setImmediate(resolve));
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.RUNNING);
    const typedWhileBlocked = vm.typed.length;
    vm.room = undefined;
    resolve();

    await expect.poll(() => vm.typed.length).toBeGreaterThan(typedWhileBlocked);
  });

  test('ends with status OK when the API ends, after the last output', async () => {
    const reader = attach('serial', ConsoleMode.READ_ONLY);
    await expect.poll(reader.cases).toEqual(['attached']);
    vm.consoles.serial.output(bytes('Power down\n'));
    await server[Symbol.asyncDispose]();

    expect(await reader.ended).toBe(status.OK);
    expect(reader.output()).toBe('Power down\n');
  });

  test.each([
    ['a console that this VM lacks', 'hvc0', ['serial'] as const],
    ['any, of a VM without consoles', '', [] as const],
  ])('%s is UNIMPLEMENTED', async (_what, name, consoles) => {
    const bare = join(folder, 'bare.sock');
    await using _bare = await serveApi(bare, new FakeVm({ consoles }));
    using other = await VmClient.connect(bare);
    const stream = other.calls.attachConsole();
    const { ended } = collect(stream);
    stream.write({ request: { $case: 'attach', value: { console: name, mode: ConsoleMode.READ_ONLY } } });

    expect(await ended).toBe(status.UNIMPLEMENTED);
  });
});

describe('the socket', () => {
  test("is its owner's alone, and goes with the server", async () => {
    const { mode } = statSync(path);
    await server[Symbol.asyncDispose]();

    expect(mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of a living VM is not taken', async () => {
    await expect(serveApi(path, vm)).rejects.toMatchObject({ code: 'IN_USE' });
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.RUNNING);
  });

  test('of a dead process is replaced', async () => {
    const dead = join(folder, 'dead.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(readdirSync(folder)).toContain('dead.sock');

    await using _replaced = await serveApi(dead, vm);
    using other = await VmClient.connect(dead);

    expect((await other.call((calls) => calls.getState, {})).state).toBe(State.RUNNING);
  });

  test('does not replace a file', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'precious');

    await expect(serveApi(file, vm)).rejects.toMatchObject({ code: 'NOT_A_SOCKET' });
    expect(statSync(file).size).toBe(8);
  });

  test('cannot be where no folder is, nor have a long path', async () => {
    await expect(serveApi(join(folder, 'none/api.sock'), vm)).rejects.toMatchObject({ code: 'LISTEN' });
    await expect(serveApi(`/${'x'.repeat(107)}`, vm)).rejects.toMatchObject({ code: 'PATH_TOO_LONG' });
  });

  test('is left by a server that ends although a caller does not read', async () => {
    const stream = client.calls.watchEvents({});
    await stopReading(stream);
    for (let index = 0; index < 500; index++) {
      vm.events.emit({ kind: 'device-failed', device: 'net0', message: 'x'.repeat(1000) });
    }
    await server[Symbol.asyncDispose]();

    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a client', () => {
  test.each([
    ['there is no socket', 'none', 'NO_SOCKET', /no such socket/],
    ['there is a file', 'file', 'NOBODY_LISTENS', /nobody listens/],
  ])('says that %s', async (_what, name, code, message) => {
    writeFileSync(join(folder, 'file'), '');

    const failure = await VmClient.connect(join(folder, name)).catch((error: unknown) => error);

    expect(failure).toMatchObject({ code });
    expect(String(failure)).toMatch(message);
  });

  test('says that the connection was lost', async () => {
    const broken = join(folder, 'broken.sock');
    const listener = createServer((socket) => socket.destroy()).listen(broken);
    await once(listener, 'listening');
    using other = await VmClient.connect(broken);

    await expect(other.call((calls) => calls.getState, {})).rejects.toMatchObject({ code: 'CONNECTION' });
    listener.close();
  });
});
