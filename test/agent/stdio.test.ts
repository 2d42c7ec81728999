// Standard streams: nothing is lost, nobody is kept waiting, and every stream ends.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closing, collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const MEBIBYTE = 1024 * 1024;

async function start(script: string, options: Parameters<typeof stdioRequest>[0] = {}) {
  const containerId = uniqueId();
  const stdio = stdioRequest(options);
  const process = { terminal: options.terminal ?? false };
  await agent.create(containerId, config(['sh', '-c', script], { process }), stdio);
  return {
    containerId,
    stream: (name: string) => agent.stream(stdio, name),
    run: () => agent.call('StartContainer', { containerId }),
    wait: () => agent.call('WaitProcess', { containerId, processId: '' }),
    remove: () => agent.call('DeleteContainer', { containerId, force: true }),
    stdio,
  };
}

describe('output', () => {
  test('of a program that ended before anybody connected is all there', async () => {
    const container = await start('echo early');
    await container.run();
    await container.wait();
    expect(String(await collect(await container.stream('stdout')))).toBe('early\n');
    await container.remove();
  });

  test('of 64 MiB is complete, in order, for a reader that stalls again and again', async () => {
    const size = 64 * MEBIBYTE;
    const container = await start(`yes 0123456789abcde | head -c ${size}`);
    const socket = await container.stream('stdout');
    socket.pause();
    await container.run();
    await delay(200);
    const line = Buffer.from('0123456789abcde\n');
    const expected = Buffer.concat(Array.from({ length: 8192 }, () => line));
    let total = 0;
    let wrong = 0;
    let stalled = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      for (let offset = 0; offset < chunk.length; ) {
        const from = (total + offset) % line.length;
        const length = Math.min(chunk.length - offset, expected.length - from);
        if (Buffer.compare(chunk.subarray(offset, offset + length), expected.subarray(from, from + length))) wrong += 1;
        offset += length;
      }
      total += chunk.length;
      if (Math.floor(total / (8 * MEBIBYTE)) > stalled) {
        stalled += 1;
        await delay(50);
      }
    }
    expect({ total, wrong, stalled }).toEqual({ total: size, wrong: 0, stalled: 8 });
    expect(await container.wait()).toMatchObject({ exitStatus: 0 });
    await container.remove();
  });

  test('that is being read is complete even after the container was deleted', async () => {
    const container = await start('dd if=/dev/zero bs=64k count=3 2>/dev/null');
    const socket = await container.stream('stdout');
    socket.pause();
    await container.run();
    await container.wait();
    await container.remove();
    expect((await collect(socket)).length).toBe(3 * 64 * 1024);
  });

  test('stops the program while nobody reads, and keeps no more than buffers', async () => {
    const container = await start('yes | dd bs=64k count=64 2>/dev/null; echo done >&2');
    const socket = await container.stream('stdout');
    const errors = await container.stream('stderr');
    socket.pause();
    await container.run();
    await delay(300);
    const { agentResidentBytes } = await agent.call('GuestDetails', {});
    expect(agentResidentBytes).toBeLessThan(3n * 1024n * 1024n);
    socket.resume();
    expect(String(await collect(errors))).toBe('done\n');
    await container.remove();
  });

  test('to a reader that died ends the program by SIGPIPE, and others go on', async () => {
    const container = await start('sh -c "exec yes"; exit $?');
    const socket = await container.stream('stdout');
    await container.run();
    await once(socket, 'data');
    socket.destroy();
    expect(await container.wait()).toMatchObject({ exitStatus: 128 + 13 });
    await container.remove();
    expect((await agent.shell('echo on')).stdout).toBe('on\n');
  });

  test('to a reader that stalled and then died ends the program by SIGPIPE', async () => {
    const container = await start('sh -c "exec yes"; exit $?');
    const socket = await container.stream('stdout');
    socket.pause();
    await container.run();
    // Until all buffers on the way are full.
    await delay(300);
    socket.destroy();
    expect(await container.wait()).toMatchObject({ exitStatus: 128 + 13 });
    await container.remove();
  });

  test('after its reader has gone fails at the first write, as into a pipe', async () => {
    const container = await start('read go; echo into the void || exit 9; exit 0', { stdin: true });
    const [stdin, stdout] = [await container.stream('stdin'), await container.stream('stdout')];
    await container.run();
    await delay(100);
    stdout.destroy();
    await delay(100);
    stdin.write('go\n');
    // The first process of a pid namespace ignores SIGPIPE, so it is told by EPIPE.
    expect(await container.wait()).toMatchObject({ exitStatus: 9 });
    await container.remove();
  });

  test('goes on to a reader that has said that it will not write', async () => {
    const container = await start('sleep 0.3; echo late');
    const stdout = await container.stream('stdout');
    stdout.end();
    await container.run();
    expect(String(await collect(stdout))).toBe('late\n');
    await container.remove();
  });

  test('ends with the process, whoever still holds the pipe', async () => {
    // Without a pid namespace for the exec's child to be killed with, it outlives the exec.
    const containerId = uniqueId();
    await agent.create(containerId, config(['sleep', '1000']), stdioRequest({ stdout: false, stderr: false }));
    await agent.call('StartContainer', { containerId });
    const stdio = stdioRequest({ stderr: false });
    const ociProcessJson = JSON.stringify(config(['sh', '-c', 'sleep 1000 & echo parent']).process);
    await agent.call('ExecProcess', { containerId, processId: 'e', ociProcessJson, stdio, ignorePaused: false });
    expect(String(await collect(await agent.stream(stdio, 'stdout')))).toBe('parent\n');
    await agent.call('DeleteContainer', { containerId, force: true });
  });

  test('that a grandchild writes without end keeps nobody else waiting', async () => {
    const containerId = uniqueId();
    await agent.create(containerId, config(['sleep', '1000']), stdioRequest({ stdout: false, stderr: false }));
    await agent.call('StartContainer', { containerId });
    const stdio = stdioRequest({ stderr: false });
    const ociProcessJson = JSON.stringify(config(['sh', '-c', 'yes & exit 0']).process);
    await agent.call('ExecProcess', { containerId, processId: 'e', ociProcessJson, stdio, ignorePaused: false });
    const socket = await agent.stream(stdio, 'stdout');
    socket.resume();
    await delay(200);
    expect((await agent.shell('echo still')).stdout).toBe('still\n');
    await agent.call('DeleteContainer', { containerId, force: true });
    socket.destroy();
  });
});

describe('input', () => {
  test('reaches the program, and its end does too', async () => {
    const container = await start('cat; echo ended', { stdin: true });
    const [stdin, stdout] = [await container.stream('stdin'), await container.stream('stdout')];
    await container.run();
    stdin.end('typed\n');
    expect(String(await collect(stdout))).toBe('typed\nended\n');
    await container.remove();
  });

  test('of megabytes comes back as it went', async () => {
    const container = await start('cat', { stdin: true });
    const [stdin, stdout] = [await container.stream('stdin'), await container.stream('stdout')];
    await container.run();
    const sent = Buffer.from(Array.from({ length: 3 * MEBIBYTE }, (_, index) => (index * 31) % 251));
    stdin.end(sent);
    expect(Buffer.compare(await collect(stdout), sent)).toBe(0);
    await container.remove();
  });

  test('to a program that closed it ends the connection', async () => {
    const container = await start('exec <&-; sleep 1000', { stdin: true });
    const stdin = await container.stream('stdin');
    await container.run();
    await delay(100);
    const closed = closing(stdin);
    stdin.write('into the void');
    await closed;
    await container.remove();
  });

  test('to a program that closes it ends the connection without another byte', async () => {
    const container = await start('sleep 0.2; exec <&-; sleep 1000', { stdin: true });
    const stdin = await container.stream('stdin');
    await container.run();
    await closing(stdin);
    await container.remove();
  });

  test('that is /dev/null ends at once', async () => {
    expect((await agent.shell('cat; echo ended')).stdout).toBe('ended\n');
  });
});

describe('CloseStdin', () => {
  const closeStdin = (containerId: string, processId = '') => agent.call('CloseStdin', { containerId, processId });

  test('ends the input of a program after all that has arrived for it', async () => {
    const container = await start('sleep 0.3; wc -c', { stdin: true });
    const [stdin, stdout] = [await container.stream('stdin'), await container.stream('stdout')];
    // More than a pipe holds: some of it still waits in the connection when the call comes.
    await new Promise((resolve) => stdin.write(Buffer.alloc(100_000), resolve));
    await container.run();
    await delay(100);
    await closeStdin(container.containerId);
    expect(Number(await collect(stdout))).toBe(100_000);
    await container.remove();
  });

  test('ends the input of a program that nobody has connected to', async () => {
    const container = await start('cat; echo ended', { stdin: true });
    const stdout = await container.stream('stdout');
    await container.run();
    await closeStdin(container.containerId);
    expect(String(await collect(stdout))).toBe('ended\n');
    await container.remove();
  });

  test('may be called again, for a program without input too', async () => {
    const container = await start('sleep 1000', { stdin: true });
    await container.run();
    for (const _ of [1, 2]) await closeStdin(container.containerId);
    await container.remove();
    const without = await start('sleep 1000');
    await without.run();
    await closeStdin(without.containerId);
    await without.remove();
  });

  test('of a process that does not exist says so', async () => {
    const container = await start('sleep 1000');
    await container.run();
    await expect(closeStdin(container.containerId, 'nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await container.remove();
  });

  test.each([
    ['a line', 'line\n'],
    ['half a line', 'half'],
    ['nothing', ''],
  ])('types the end-of-file character into a terminal after %s', async (_what, typed) => {
    const container = await start('stty -echo; echo ready; cat; echo "end of $(tty)"', { terminal: true });
    const terminal = await container.stream('terminal');
    let text = '';
    terminal.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const ended = once(terminal, 'end');
    await container.run();
    await expect.poll(() => text).toContain('ready');
    terminal.write(typed);
    await delay(50);
    await closeStdin(container.containerId);
    await ended;
    expect(text).toBe(`ready\r\n${typed.replace('\n', '\r\n')}end of /dev/pts/0\r\n`);
    await container.remove();
  });

  test('types nothing into a terminal that passes on every character', async () => {
    const script = 'stty raw -echo; echo ready; head -c 3; stty sane; echo; echo got it';
    const container = await start(script, { terminal: true });
    const terminal = await container.stream('terminal');
    let text = '';
    terminal.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const ended = once(terminal, 'end');
    await container.run();
    await expect.poll(() => text).toContain('ready');
    terminal.write('abc');
    await closeStdin(container.containerId);
    await ended;
    expect(text).toContain('abc\r\ngot it');
    await container.remove();
  });
});

describe('a terminal', () => {
  test('is the controlling one, with its size, and /dev/console', async () => {
    const container = await start('test -t 0 && tty; stty size; echo x > /dev/console; cat /dev/tty & sleep 0.1', {
      terminal: true,
    });
    const terminal = await container.stream('terminal');
    await container.run();
    const text = String(await collect(terminal));
    expect(text).toMatch(/^\/dev\/pts\/0\r\n24 80\r\nx\r\n/);
    await container.remove();
  });

  test('carries what is typed, echoes it, and interrupts', async () => {
    const container = await start('read line; echo "got $line"; trap "echo interrupted; exit 5" INT; sleep 1000', {
      terminal: true,
    });
    const terminal = await container.stream('terminal');
    await container.run();
    terminal.write('hello\n');
    let text = '';
    terminal.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await expect.poll(() => text).toContain('got hello');
    await delay(100);
    const ended = once(terminal, 'end');
    terminal.write('\x03');
    expect(await container.wait()).toMatchObject({ exitStatus: 5 });
    await ended;
    expect(text).toContain('interrupted');
    await container.remove();
  });

  test('takes a new size', async () => {
    const container = await start('trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done', {
      terminal: true,
    });
    const terminal = await container.stream('terminal');
    let text = '';
    terminal.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await container.run();
    await expect.poll(() => text).toContain('ready');
    const ended = once(terminal, 'end');
    await agent.call('ResizeTerminal', { containerId: container.containerId, processId: '', rows: 50, columns: 132 });
    await ended;
    expect(text).toContain('50 132');
    await container.remove();
  });

  test('delivers all output of a program that ends at once', async () => {
    const container = await start('seq 1 5000', { terminal: true });
    const terminal = await container.stream('terminal');
    await container.run();
    expect(String(await collect(terminal))).toMatch(/\r\n4999\r\n5000\r\n$/);
    await container.remove();
  });

  test('must be asked for in both places or in none', async () => {
    const created = agent.create(uniqueId(), config(['true']), stdioRequest({ terminal: true }));
    await expect(created).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('streams that are held', () => {
  test('get other connections, to which comes what the ones before did not take', async () => {
    const container = await start('while read line; do echo "got $line"; done; echo end; exit 7', { stdin: true });
    const { containerId } = container;
    const [input, output] = [await container.stream('stdin'), await container.stream('stdout')];
    await container.run();
    input.write('one\n');
    await once(output, 'data');

    await agent.call('PauseContainer', { containerId });
    await agent.call('HoldStreams', { containerId });
    for (const socket of [input, output]) socket.destroy();
    const [newInput, newOutput] = [await container.stream('stdin'), await container.stream('stdout')];
    const newId = uniqueId();
    await agent.call('AdoptContainer', { containerId, newContainerId: newId });
    await agent.call('ReleaseStreams', { containerId: newId });
    await agent.call('ResumeContainer', { containerId: newId });
    newInput.end('two\n');

    expect(String(await collect(newOutput))).toBe('got two\nend\n');
    expect(await agent.call('WaitProcess', { containerId: newId, processId: '' })).toMatchObject({ exitStatus: 7 });
    await agent.call('DeleteContainer', { containerId: newId, force: true });
  });

  test('lose nothing that a reader who stalls has not taken', async () => {
    const size = 8 * MEBIBYTE;
    const container = await start(`yes 0123456789abcde | head -c ${size}`);
    const { containerId } = container;
    const output = await container.stream('stdout');
    const taken: Buffer[] = [];
    output.on('data', (bytes: Buffer) => taken.push(bytes));
    output.pause();
    await container.run();
    await delay(200);

    await agent.call('PauseContainer', { containerId });
    await agent.call('HoldStreams', { containerId });
    const newOutput = await container.stream('stdout');
    // What is on its way to the first one is that one's.
    output.resume();
    await once(output, 'end');
    await agent.call('ReleaseStreams', { containerId });
    await agent.call('ResumeContainer', { containerId });
    const rest = await collect(newOutput);

    const all = Buffer.concat([...taken, rest]);
    expect(all.length).toBe(size);
    expect(all.equals(Buffer.from('0123456789abcde\n'.repeat(size / 16)))).toBe(true);
    await container.remove();
  });

  test('end when they are released without another connection', async () => {
    const container = await start('read line; echo "got $line"; exit 3', { stdin: true });
    const { containerId } = container;
    const input = await container.stream('stdin');
    await container.run();

    await agent.call('HoldStreams', { containerId });
    input.destroy();
    await agent.call('ReleaseStreams', { containerId });

    expect(await container.wait()).toMatchObject({ exitStatus: 3 });
    await container.remove();
  });

  test('that are not held let nobody take the place of another', async () => {
    const container = await start('cat', { stdin: true });
    await container.stream('stdout');
    await container.run();

    await closing(await container.stream('stdout'));

    await container.remove();
  });

  test('of processes that were run beside init end with them, in the hands of another host', async () => {
    const container = await start('sleep 1000');
    const { containerId } = container;
    await container.run();
    const stdio = stdioRequest();
    const ociProcessJson = JSON.stringify({ cwd: '/', args: ['sleep', '1000'], env: ['PATH=/bin'] });
    const exec = { containerId, processId: 'beside', ociProcessJson, stdio, ignorePaused: false };
    await agent.call('ExecProcess', exec);
    const outputEnd = closing(await agent.stream(stdio, 'stdout'));

    const { pid } = await agent.call('AdoptContainer', { containerId, newContainerId: containerId });

    const { signal } = await agent.call('WaitProcess', { containerId, processId: 'beside' });
    const { processes } = await agent.call('ListProcesses', { containerId });
    await outputEnd;
    expect(signal).toBe(9);
    expect(processes.map((process) => process.pid)).toEqual([pid]);
    await container.remove();
  });
});
