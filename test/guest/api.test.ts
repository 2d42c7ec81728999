// The management API and `tsvm ctl` with real guests: what the guest does when it is asked, and what others see of it.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { VmClient } from '../../src/api/client.ts';
import { ConsoleMode, type ConsoleResponse, type Event, ShutdownMethod, State } from '../../src/api/vmm.gen.ts';
import type { VmReport } from '../../src/vmm/report.ts';
import { KERNEL, QUIET, type Started, start, TSVM, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

/** What polling may take on an emulated host. */
const PATIENCE = { timeout: 120_000, interval: 100 };
/** Counts, and answers to lines. */
const TICKING = `echo READY; (i=0; while sleep 1; do i=$((i+1)); echo "tick=$i="; done) &
while read -r line; do echo "line=$line="; done`;

let sockets = 0;

interface Running {
  readonly child: Started;
  readonly path: string;
  readonly client: VmClient;
}

/** Boots a guest whose script is this, with an API. */
async function boot(name: string, script: string, ...more: string[]): Promise<Running> {
  sockets += 1;
  const path = files.path(`api-${sockets}.sock`);
  const initrd = files.initramfs(name, script);
  const child = start([
    'boot',
    '--kernel',
    KERNEL,
    '--initrd',
    initrd,
    '--api-socket',
    path,
    '--timeout',
    '170',
    ...more,
  ]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await expect.poll(() => existsSync(path), PATIENCE).toBe(true);
  const client = await VmClient.connect(path);
  onTestFinished(() => client[Symbol.dispose]());
  return { child, path, client };
}

const quiet = ['--cmdline', QUIET];

/** A reader, and perhaps writer, of a console. */
function attach(client: VmClient, console: string, mode: ConsoleMode) {
  const stream = client.calls.attachConsole();
  let output = '';
  let isAttached = false;
  stream.on('error', () => undefined);
  stream.on('data', ({ response }: ConsoleResponse) => {
    if (response?.$case === 'attached') isAttached = true;
    if (response?.$case === 'output') output += Buffer.from(response.value).toString();
  });
  stream.write({ request: { $case: 'attach', value: { console, mode } } });
  return {
    attached: () => expect.poll(() => isAttached, PATIENCE).toBe(true),
    output: () => output,
    shown: (text: string) => expect.poll(() => output, PATIENCE).toContain(text),
    type: (text: string) => stream.write({ request: { $case: 'input', value: Buffer.from(text) } }),
  };
}

/** Runs `tsvm` to its end. */
function tsvm(
  ...args: string[]
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(TSVM, args, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

describe('the API of a guest', () => {
  test('pauses it and lets it go on, shows it to several, and ends it', async () => {
    const { child, path, client } = await boot('ticking', TICKING, ...quiet);
    const seen: Event[] = [];
    const watch = client.calls.watchEvents({});
    watch.on('error', () => undefined);
    watch.on('data', (event: Event) => seen.push(event));
    const watchEnded = new Promise<void>((resolve) => watch.once('end', () => resolve()));
    const writer = attach(client, 'serial', ConsoleMode.READ_WRITE);
    const reader = attach(client, '', ConsoleMode.READ_ONLY);
    await writer.attached();
    await reader.attached();
    await child.printed('READY');

    const state = await client.call((calls) => calls.getState, {});
    expect(state).toMatchObject({
      state: State.RUNNING,
      machine: { cpus: 1, memoryMib: 256, kernelPath: KERNEL, consoles: ['serial'] },
    });
    expect(state.machine?.devices.map(({ type }) => type)).toContain('rng');
    expect(statSync(path).mode & 0o777).toBe(0o600);

    writer.type('from the API\n');
    await Promise.all([writer, reader].map(({ shown }) => shown('line=from the API=')));
    await child.printed('line=from the API=');

    await client.call((calls) => calls.pause, {});
    // What it said before may still be on its way.
    const settled = await settle(writer.output);
    writer.type('typed while it rests\n');
    expect(await settle(writer.output)).toBe(settled);
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.PAUSED);
    await expect(client.call((calls) => calls.pause, {})).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await client.call((calls) => calls.resume, {});
    await writer.shown('line=typed while it rests=');

    const metrics = await client.call((calls) => calls.getMetrics, {});
    expect(metrics.exits['KVM_EXIT_IO']).toBeGreaterThan(100);
    expect(metrics.devices.find(({ type }) => type === 'rng')?.counters).toHaveProperty('requests');
    expect(metrics.memory?.sharedBytes).toBeGreaterThan(10 * 1024 * 1024);
    await expect(client.call((calls) => calls.setBalloon, { targetMib: 16 })).rejects.toMatchObject({
      code: 'UNIMPLEMENTED',
    });

    const { stopped } = await client.call((calls) => calls.kill, {});
    const { status, stderr } = await child.ended;
    await watchEnded;

    expect(stopped?.reason).toBe('killed');
    expect(status).toBe(137);
    expect(stderr).toContain('ended from outside');
    expect(seen.map(({ event }) => event?.$case)).toEqual(expect.arrayContaining(['paused', 'resumed', 'stopped']));
    expect(existsSync(path)).toBe(false);
  });

  test('starts it when it was made paused, tells its terminal, and reports its end', async () => {
    const report = files.path('api-report.json');
    const script = 'echo READY; while read -r line; do [ "$line" = end ] && break; stty size; done';
    const { child, client } = await boot('sizes', script, '--console', '--no-serial', '--paused', '--report', report);
    const console = attach(client, 'hvc0', ConsoleMode.READ_WRITE);
    await console.attached();
    expect((await client.call((calls) => calls.getState, {})).state).toBe(State.CREATED);
    await client.call((calls) => calls.resume, {});
    await console.shown('READY');

    await client.call((calls) => calls.resizeConsole, { columns: 132, rows: 50 });
    await expect
      .poll(() => {
        console.type('\n');
        return console.output();
      }, PATIENCE)
      .toContain('50 132');
    console.type('end\n');
    const { status } = await child.ended;

    expect(status).toBe(0);
    const { stopped, exits, devices, memory, uptimeMs }: VmReport = JSON.parse(readFileSync(report, 'utf8'));
    expect(stopped.reason).toBe('guest-reset');
    expect(Object.keys(exits).length).toBeGreaterThan(0);
    expect(devices.find(({ type }) => type === 'console')?.counters).not.toEqual({});
    expect(memory.peakResidentBytes).toBeGreaterThan(memory.anonymousBytes);
    expect(uptimeMs).toBeGreaterThan(0);
    const picture = readFileSync(report.replace('.json', '.svg'), 'utf8');
    expect(picture).toContain('KVM_EXIT');
    expect(picture).not.toMatch(/NaN|undefined/);
  });

  test('kills it when it does not heed the power button in time', async () => {
    const { child, client } = await boot('deaf', 'echo READY; sleep 1000', ...quiet);
    await child.printed('READY');

    const answer = await client.call((calls) => calls.shutdown, { method: ShutdownMethod.ACPI, timeoutMs: 500 });

    expect(answer).toMatchObject({ timedOut: true, stopped: { reason: 'killed' } });
    expect((await child.ended).status).toBe(137);
  });
});

/** What `read` gives once it has not changed for a while. */
async function settle(read: () => string): Promise<string> {
  let before: string;
  do {
    before = read();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  } while (read() !== before);
  return before;
}

describe('tsvm ctl', () => {
  test('speaks it', async () => {
    const { child, path } = await boot('ctl', TICKING, ...quiet);
    await child.printed('READY');

    const state = await tsvm('ctl', '--api-socket', path, 'state');
    const killed = await tsvm('ctl', '--api-socket', path, 'kill');

    expect(state.stdout).toMatch(/^state +running$/m);
    expect(killed.stdout).toContain('ended from outside');
    expect((await child.ended).status).toBe(137);
  });
});

describe('the terminal of a person', () => {
  const script = 'stty -isig -icanon -echo; echo READY; dd bs=1 count=1 2>/dev/null | od -An -tx1; sleep 1000';

  /** Starts `tsvm boot` on a terminal of its own, which then shows with which status it ended, and the terminal's modes. */
  function startOnTerminal() {
    const args = ['boot', '--kernel', KERNEL, '--initrd', files.initramfs('keys', script), '--cmdline', `'${QUIET}'`];
    const command = `sh -c 'echo "pid=$$="; exec "$0" "$@"' ${TSVM} ${args.join(' ')}; echo "status=$?"; stty -a; sleep 1000`;
    const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let shown = '';
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    return {
      type: (keys: string) => child.stdin.write(keys),
      shows: (pattern: RegExp) => expect.poll(() => shown, PATIENCE).toMatch(pattern),
      pid: () => Number(/pid=(\d+)/.exec(shown)?.[1]),
    };
  }

  test('gives the guest every key but those behind Ctrl-a, and is as before at the end', async () => {
    const terminal = startOnTerminal();
    await terminal.shows(/READY/);
    terminal.type('\x03');
    await terminal.shows(/ 03\r/);
    terminal.type('\x01h');
    await terminal.shows(/Ctrl-a x: end the VM/);
    terminal.type('\x01x');

    await terminal.shows(/status=0\r.* icanon .* echo /s);
  });

  test('is as before while the VM is stopped, and after a signal ended it', async () => {
    const terminal = startOnTerminal();
    await terminal.shows(/READY/);
    const pid = terminal.pid();
    const tty = readlinkSync(`/proc/${pid}/fd/0`);
    const modes = (): string => execFileSync('stty', ['-a', '-F', tty], { encoding: 'utf8' });
    expect(modes()).toContain('-icanon');

    process.kill(pid, 'SIGTSTP');
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2], PATIENCE).toBe('T');
    expect(modes()).toContain(' icanon');
    process.kill(pid, 'SIGCONT');
    await expect.poll(modes, PATIENCE).toContain('-icanon');
    process.kill(pid, 'SIGTERM');

    await terminal.shows(/status=143\r.* icanon .* echo /s);
  });
});
