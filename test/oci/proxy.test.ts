// tskata-proxy alone, between a caller and a sandbox that the test plays.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildProxy } from '../../native/proxy/build.ts';
import { FakeSandbox, type StartedProxy, TOKEN } from './fake-sandbox.ts';
import { buildHelpers, holdConsole } from './helpers.ts';

let program = '';
beforeAll(async () => {
  program = await buildProxy();
  await buildHelpers();
});

/** A proxy that is ready, with the guest's three streams. */
async function connected(
  fake: FakeSandbox,
): Promise<StartedProxy & { stdin: Writable; stdout: Readable; stderr: Readable }> {
  const proxy = fake.startProxy(program);
  expect(await proxy.readiness).toBe('PLACED\nREADY');
  expect(await fake.lines.take()).toBe(`ATTACH ${TOKEN} ${proxy.child.pid}`);
  const [stdin, stdout, stderr] = proxy.child.stdio as unknown as [Writable, Readable, Readable];
  return { ...proxy, stdin, stdout, stderr };
}

async function endStreams(fake: FakeSandbox): Promise<void> {
  for (const name of ['stdout', 'stderr']) (await fake.stream(name)).end();
}

describe('streams', () => {
  test('output goes to the stream it came from, and ends when the guest ends it', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    (await fake.stream('stdout')).end('to standard output');
    (await fake.stream('stderr')).end('to standard error');

    expect(await text(proxy.stdout)).toBe('to standard output');
    expect(await text(proxy.stderr)).toBe('to standard error');
  });

  test('input arrives, and its end is a half-close: output still comes', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    proxy.stdin.end('question');
    const question = await text(await fake.stream('stdin'));
    (await fake.stream('stdout')).end(`answer to ${question}`);

    expect(await text(proxy.stdout)).toBe('answer to question');
  });

  test('eight megabytes pass unchanged through a reader that stops for a while', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);
    const bytes = randomBytes(8 * 1024 * 1024);
    proxy.stdout.pause();

    const stdout = await fake.stream('stdout');
    stdout.write(bytes.subarray(0, 4 * 1024 * 1024));
    await once(proxy.stdout, 'readable');
    const held = stdout.writableLength;
    stdout.end(bytes.subarray(4 * 1024 * 1024));
    const hash = createHash('sha256');
    for await (const chunk of proxy.stdout) hash.update(chunk as Buffer);

    expect(held).toBeGreaterThan(0);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  test('a stalled standard output does not hold standard error back', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);
    proxy.stdout.pause();

    (await fake.stream('stdout')).write(Buffer.alloc(4 * 1024 * 1024));
    (await fake.stream('stderr')).end('not held back');

    expect(await text(proxy.stderr)).toBe('not held back');
  });

  test('when nobody reads standard output any more the guest is told', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);
    const stdout = await fake.stream('stdout');
    const closed = once(stdout.resume(), 'end');

    proxy.stdout.destroy();

    await closed;
  });

  test('the first output is reported, once', async () => {
    await using fake = await FakeSandbox.start();
    await connected(fake);

    (await fake.stream('stderr')).end('first');
    const line = await fake.lines.take();
    (await fake.stream('stdout')).end('second');
    fake.tell('EXIT 0');

    expect(line).toMatch(/^OUTPUT \d+$/);
    const ageNs = process.hrtime.bigint() - BigInt(line.slice('OUTPUT '.length));
    expect(ageNs).toBeGreaterThan(0n);
  });

  test("the caller's open files keep their flags: other programs share them", async () => {
    await using fake = await FakeSandbox.start();
    const ours = openSync('/dev/null', 'r+');
    const proxy = fake.startProxy(program, [], [ours, ours, ours]);
    await proxy.readiness;

    const flags = Number.parseInt(
      /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${ours}`, 'utf8'))?.[1] ?? '',
      8,
    );
    closeSync(ours);

    expect(flags & constants.O_NONBLOCK).toBe(0);
  });
});

describe('the end', () => {
  test.each([0, 1, 42, 137, 255])('EXIT %i is its exit status', async (status) => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    fake.tell(`EXIT ${status}`);
    await endStreams(fake);

    expect(await proxy.exit).toEqual({ status, signal: null });
  });

  test('it passes all output on before it ends', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    fake.tell('EXIT 0');
    (await fake.stream('stdout')).end('late');
    (await fake.stream('stderr')).end();

    expect(await text(proxy.stdout)).toBe('late');
    expect((await proxy.exit).status).toBe(0);
  });

  test('a sandbox that dies is a process that was killed', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    await fake.die();

    expect(await proxy.exit).toEqual({ status: 137, signal: null });
  });

  test('the end of its process closes its input', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);
    const broken = once(proxy.stdin, 'close');

    fake.tell('EXIT 0');
    await endStreams(fake);

    await broken;
  });
});

describe('signals', () => {
  const catchable = Array.from({ length: 64 }, (_, index) => index + 1).filter(
    (number) => number !== 9 && number !== 19,
  );

  test('all that can be caught are forwarded, real-time ones too', async () => {
    await using fake = await FakeSandbox.start();
    const { child } = await connected(fake);
    const kill = (number: number): boolean => process.kill(Number(child.pid), number);

    const lines: string[] = [];
    for (const number of catchable) {
      kill(number);
      lines.push(await fake.lines.take());
    }

    expect(lines).toEqual(catchable.map((number) => `SIGNAL ${number}`));
  });

  test('SIGKILL ends it, which closes its connection', async () => {
    await using fake = await FakeSandbox.start();
    const proxy = await connected(fake);

    proxy.child.kill('SIGKILL');

    expect((await proxy.exit).signal).toBe('SIGKILL');
  });
});

describe('a terminal', () => {
  test('its master goes to the console socket, and its size to the sandbox, now and later', async () => {
    await using fake = await FakeSandbox.start();
    const path = join(fake.directory, 'console.sock');
    using console = await holdConsole(path, [50, 132]);

    const proxy = fake.startProxy(program, ['--console-socket', path, '--console-size', '24x80']);
    const readiness = await proxy.readiness;
    const lines = [await fake.lines.take(), await fake.lines.take()];
    console.endInput();

    expect(readiness).toBe('PLACED\nREADY');
    expect(await console.until('\n')).toContain('name /dev/ptmx');
    expect(lines).toEqual([`ATTACH ${TOKEN} ${proxy.child.pid}`, 'RESIZE 24 80']);
    expect(await fake.lines.take()).toBe('RESIZE 50 132');
  });

  test('it is raw: bytes pass both ways as they are, and nothing is echoed', async () => {
    await using fake = await FakeSandbox.start();
    const path = join(fake.directory, 'console.sock');
    using console = await holdConsole(path);
    const proxy = fake.startProxy(program, ['--console-socket', path]);
    await proxy.readiness;
    const terminal = await fake.stream('terminal');

    console.type('\x03\r');
    const [typed] = await once(terminal.resume(), 'data');
    terminal.write('a\nb\x04');
    const shown = await console.until('\x04');

    expect(String(typed)).toBe('\x03\r');
    expect(shown).toBe('listening\nname /dev/ptmx\na\nb\x04');
  });

  test('when its caller hangs up the guest gets SIGHUP', async () => {
    await using fake = await FakeSandbox.start();
    const path = join(fake.directory, 'console.sock');
    using console = await holdConsole(path);
    const proxy = fake.startProxy(program, ['--console-socket', path]);
    await proxy.readiness;
    await fake.lines.take();

    console.child.kill('SIGKILL');

    expect(await fake.lines.take()).toBe('SIGNAL 1');
  });
});

describe('failures', () => {
  test('a refusal is passed to the starter with its reason', async () => {
    await using fake = await FakeSandbox.start();
    fake.attachAnswer = 'ERROR no such streams';

    const proxy = fake.startProxy(program);

    expect(await proxy.readiness).toBe('PLACED\nERROR the sandbox refused: no such streams');
    expect((await proxy.exit).status).toBe(1);
  });

  test('without a sandbox it says whom it could not reach', async () => {
    await using fake = await FakeSandbox.start();

    const proxy = fake.startProxy(program, ['--console-socket', '/nonexistent']);

    expect(await proxy.readiness).toBe('PLACED\nERROR cannot connect to /nonexistent: No such file or directory');
  });
});

describe('what it costs', () => {
  test('it holds its connections and its streams, and nothing else', async () => {
    await using fake = await FakeSandbox.start();
    const { child } = await connected(fake);

    // Three streams, the signals, the control connection, three streams of the guest. What it said READY on it closes next.
    await expect.poll(() => readdirSync(`/proc/${child.pid}/fd`).length).toBe(8);
  });

  test('its resident memory is below one megabyte', async () => {
    await using fake = await FakeSandbox.start();
    const { child } = await connected(fake);

    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');

    expect(Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1])).toBeLessThan(1024);
  });
});
