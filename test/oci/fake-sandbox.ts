// Stands in for a sandbox process as the proxy sees it: proxy.sock and the agent's stdio port behind vsock.sock.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { readLines } from '../../src/runtime/proxy-connection.ts';

export const TOKEN = 'f'.repeat(64);

/** Something that is put once and may be taken by one who waits for it. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#items.push(item);
    else waiting(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(item);
  }
}

export interface StartedProxy {
  readonly child: ChildProcess;
  /** All that it says to its starter: that it is placed, and then that it is ready, or why not. */
  readonly readiness: Promise<string>;
  readonly exit: Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
}

export class FakeSandbox implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'tskata-proxy-'));
  /** Lines of the proxy, `ATTACH` among them. */
  readonly lines = new Mailbox<string>();
  /** What ATTACH is answered with. */
  attachAnswer = 'OK';
  readonly #proxySockets: Socket[] = [];
  readonly #streams = new Map<string, PromiseWithResolvers<Socket>>();
  readonly #servers: Server[] = [];
  readonly #children: ChildProcess[] = [];

  static async start(): Promise<FakeSandbox> {
    const fake = new FakeSandbox();
    await fake.#listen('proxy.sock', (socket) => {
      fake.#proxySockets.push(socket);
      readLines(socket, (line) => {
        fake.lines.put(line);
        if (line.startsWith('ATTACH')) socket.write(`${fake.attachAnswer}\n`);
      });
    });
    await fake.#listen('vsock.sock', (socket) => fake.#greet(socket));
    return fake;
  }

  /** The guest's end of a stream. */
  stream(name: string): Promise<Socket> {
    return this.#expect(name).promise;
  }

  tell(line: string): void {
    for (const socket of this.#proxySockets) socket.write(`${line}\n`);
  }

  /** As if the sandbox process were killed. */
  async die(): Promise<void> {
    for (const socket of this.#proxySockets) socket.destroy();
    for (const { promise } of this.#streams.values()) (await promise).destroy();
  }

  startProxy(
    program: string,
    flags: readonly string[] = [],
    stdio: ('pipe' | number)[] = ['pipe', 'pipe', 'pipe'],
  ): StartedProxy {
    const child = spawn(program, ['1000', '[tskata c1]'], {
      argv0: '/bin/sleep',
      cwd: this.directory,
      detached: true,
      stdio: [...stdio, 'pipe'],
    });
    this.#children.push(child);
    const exit = once(child, 'exit').then(([status, signal]) => ({ status, signal }));
    const ready = child.stdio[3] as Duplex;
    ready.write(`${[`--token=${TOKEN}`, ...flags].join('\0')}\0\0`);
    const readiness = text(ready).then((lines) => lines.trim());
    return { child, readiness, exit };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const socket of this.#proxySockets) socket.destroy();
    for (const server of this.#servers) server.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #listen(name: string, onConnection: (socket: Socket) => void): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      onConnection(socket);
    }).listen(join(this.directory, name));
    this.#servers.push(server);
    await once(server, 'listening');
  }

  /** `CONNECT 1025`, then the line with the token and the stream's name; then the socket is the stream. */
  #greet(socket: Socket): void {
    let head = '';
    const onData = (bytes: Buffer): void => {
      head += bytes.toString('latin1');
      if (head === 'CONNECT 1025\n') socket.write('OK 12345\n');
      const match = /^CONNECT 1025\n(\w+) (\w+)\n$/.exec(head);
      if (match?.[1] !== TOKEN) return;
      socket.off('data', onData);
      socket.pause();
      this.#expect(match[2] ?? '').resolve(socket);
    };
    socket.on('data', onData);
  }

  #expect(name: string): PromiseWithResolvers<Socket> {
    const stream = this.#streams.get(name) ?? Promise.withResolvers<Socket>();
    this.#streams.set(name, stream);
    return stream;
  }
}
