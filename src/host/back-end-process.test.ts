import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import { type BackEndError, BackEndProcess, type BackEndProcessOptions, findProgram } from './back-end-process.ts';

let stack: AsyncDisposableStack;
let folder = '';

beforeEach(() => {
  stack = new AsyncDisposableStack();
  folder = mkdtempSync(join(tmpdir(), 'back-end-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
});

afterEach(() => stack.disposeAsync());

/** A shell script as a back end; its descriptor is $1. */
function script(text: string, options: Partial<BackEndProcessOptions> = {}): BackEndProcess {
  const command = (fd: number) => ['/bin/sh', '-c', text, 'sh', String(fd)];
  return stack.use(new BackEndProcess({ name: 'the script', command, socket: 'connected', ...options }));
}

const receive = (length: number) => async (connection: UnixConnection) => {
  stack.use(connection);
  return Buffer.from(connection.receive(length).bytes).toString();
};

describe('a program', () => {
  test('has the other end of our connection', async () => {
    const program = script('printf hello >&"$1"; exec sleep 60');
    expect(await program.open(receive(5))).toBe('hello');
  });

  test('that listens finds our connection in the queue, and nothing of it is in the file system', async () => {
    vi.stubEnv('TMPDIR', folder);
    stack.defer(() => void vi.unstubAllEnvs());
    const accept = `
      const { createServer } = require('node:net');
      createServer((socket) => socket.write('hello')).listen({ fd: Number(process.argv[1]) });`;
    const command = (fd: number) => [process.execPath, '-e', accept, String(fd)];
    const program = script('', { socket: 'listening', command, timeoutMs: 30_000 });
    expect(readdirSync(folder)).toEqual([]);
    expect(await program.open(receive(5))).toBe('hello');
  });

  test('that ends before it is at work is an error with its last words', async () => {
    const program = script('echo no such folder >&2; exit 3');
    await expect(program.open(receive(1))).rejects.toMatchObject({
      code: 'NOT_STARTED',
      message: 'the script, ended (status 3); it said last:\nno such folder',
    });
  });

  test('that says nothing at all is an error with what was tried', async () => {
    const program = script('exec sleep 60', { timeoutMs: 50 });
    await expect(program.open(receive(1))).rejects.toMatchObject({
      code: 'NOT_STARTED',
      message: expect.stringContaining('the script, is not at work: recvmsg'),
    });
  });

  test('that is not there is an error', async () => {
    const program = script('', { command: () => ['/nowhere/program'] });
    await expect(program.open(receive(1))).rejects.toMatchObject({
      code: 'NOT_STARTED',
      message: expect.stringContaining('/nowhere/program'),
    });
  });

  test('that ends by itself at work is told with its last words', async () => {
    const ended = Promise.withResolvers<BackEndError>();
    const program = script('printf x >&"$1"; read line <&"$1"; echo broken >&2; kill -9 $$', { onEnd: ended.resolve });
    await program.open(async (connection) => {
      stack.use(connection).receive(1);
      setImmediate(() => connection.send(Buffer.from('\n')));
    });
    expect(await ended.promise).toMatchObject({
      code: 'ENDED',
      message: 'the script, ended (SIGKILL); it said last:\nbroken',
    });
  });

  test('is gone when it is disposed, and nobody is told', async () => {
    const told: BackEndError[] = [];
    const program = script('printf x >&"$1"; exec sleep 60', { onEnd: (failure) => void told.push(failure) });
    await program.open(receive(1));
    await program[Symbol.asyncDispose]();
    expect(existsSync(`/proc/${program.pid}`)).toBe(false);
    await program[Symbol.asyncDispose]();
    expect(told).toEqual([]);
  });

  test('gets none of the signals that a terminal sends to us', async () => {
    const program = script('printf x >&"$1"; exec sleep 60');
    await program.open(receive(1));
    // proc(5): pid, (name), state, ppid, pgrp, session.
    const [, , , group, session] = readFileSync(`/proc/${program.pid}/stat`, 'utf8').split(' ').slice(1);
    expect([group, session]).toEqual([String(program.pid), String(program.pid)]);
  });

  test('may put down what it has in mind when it is ended by SIGTERM', async () => {
    const file = join(folder, 'written');
    const text = `trap 'echo done > ${file}; exit' TERM; printf x >&"$1"; while :; do sleep 0.01; done`;
    const program = script(text, { endSignal: 'SIGTERM' });
    await program.open(receive(1));
    await program[Symbol.asyncDispose]();
    expect(readFileSync(file, 'utf8')).toBe('done\n');
  });
});

test('a program that is not installed is an error that says where it was looked for and what to install', () => {
  expect(() => findProgram('thing', [{ path: '/nowhere/thing' }], 'install the package thing')).toThrow(
    'thing is not installed (looked at /nowhere/thing): install the package thing',
  );
});
