// The file system device over vhost-user with the real virtiofsd: a driver in memory mounts (FUSE_INIT), looks a file up and
// reads it. Needs virtiofsd and root, but no KVM: guest memory is a memfd that nobody executes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FS_QUEUE, FsDevice } from '../devices/virtio/fs/device.ts';
import { MockMachine } from '../devices/virtio/testing/mock-driver.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import { createMemfd, mapShared } from '../ffi/memory.unsafe.ts';
import { guestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { VhostUserError, VhostUserFrontEnd } from './vhost-user.ts';
import { Virtiofsd, type VirtiofsdError } from './virtiofsd.ts';

const RAM_SIZE = 4 * MIB;
// linux/fuse.h
const FUSE_LOOKUP = 1;
const FUSE_OPEN = 14;
const FUSE_READ = 15;
const FUSE_INIT = 26;
const FUSE_INIT_EXT = 1 << 30;
const FUSE_ROOT_ID = 1n;
const OUT_HEADER_SIZE = 16;

let stack: AsyncDisposableStack;
let directory = '';
let served = '';

beforeEach(() => {
  stack = new AsyncDisposableStack();
  directory = mkdtempSync(join(tmpdir(), 'virtiofsd-'));
  stack.defer(() => rmSync(directory, { recursive: true }));
  served = join(directory, 'served');
  mkdirSync(served);
});

afterEach(() => stack.disposeAsync());

/** A guest's FUSE client on the mock driver. */
class FuseGuest {
  readonly machine: MockMachine;
  readonly frontEnd: VhostUserFrontEnd;
  readonly #kicks: EventFd[] = [];
  #unique = 0n;

  constructor(path: string) {
    const memfd = stack.use(createMemfd('guest', RAM_SIZE));
    const mapping = stack.use(mapShared(memfd.fd, RAM_SIZE, 'guest'));
    const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: mapping.bytes }]);
    this.frontEnd = stack.use(
      new VhostUserFrontEnd({
        path,
        memory: [{ guestAddress: 0, size: RAM_SIZE, fd: memfd.fd, fdOffset: 0 }],
        queueCount: 2,
      }),
    );
    const device = new FsDevice({ tag: 'shared', backend: this.frontEnd });
    const call = stack.use(new EventFd());
    this.#kicks = device.queueSizes.map(() => stack.use(new EventFd()));
    this.machine = new MockMachine(device, {
      memory,
      eventFds: (queue) => ({ kick: (this.#kicks[queue] ?? call).fd, call: call.fd }),
    });
    stack.defer(() => this.machine.transport[Symbol.dispose]());
    this.machine.driver.start({ queueSize: 64 });
  }

  /** Sends a request and waits for the answer. @returns errno (0 or below) and the bytes behind the header */
  async request(opcode: number, node: bigint, body: Uint8Array, answerSize: number) {
    const header = new DataView(new ArrayBuffer(40));
    header.setUint32(0, 40 + body.length, true);
    header.setUint32(4, opcode, true);
    header.setBigUint64(8, ++this.#unique, true);
    header.setBigUint64(16, node, true);
    const queue = this.machine.driver.queue(FS_QUEUE.request);
    queue.push({ read: new Uint8Array(header.buffer) }, { read: body }, { write: OUT_HEADER_SIZE + answerSize });
    this.#kicks[FS_QUEUE.request]?.signal();
    for (let waited = 0; waited < 2000; waited++) {
      const [used] = queue.takeUsed();
      if (used !== undefined) {
        const error = new DataView(used.bytes.buffer).getInt32(4, true);
        return { error, body: used.bytes.slice(OUT_HEADER_SIZE) };
      }
      await sleep(1);
    }
    throw new Error(`virtiofsd did not answer FUSE request ${opcode} within two seconds`);
  }

  /** FUSE_INIT of a client that knows every capability before FUSE_INIT_EXT. @returns the major version that virtiofsd speaks */
  async init(): Promise<number> {
    const body = new Uint8Array(64);
    new DataView(body.buffer).setUint32(0, 7, true);
    new DataView(body.buffer).setUint32(4, 31, true);
    new DataView(body.buffer).setUint32(12, FUSE_INIT_EXT - 1, true);
    const answer = await this.request(FUSE_INIT, 0n, body, 64);
    return new DataView(answer.body.buffer).getUint32(0, true);
  }

  async lookup(parent: bigint, name: string) {
    const { error, body } = await this.request(FUSE_LOOKUP, parent, new TextEncoder().encode(`${name}\0`), 128);
    return { error, node: body.length < 8 ? 0n : new DataView(body.buffer).getBigUint64(0, true) };
  }

  async readFile(node: bigint): Promise<string> {
    const open = await this.request(FUSE_OPEN, node, new Uint8Array(8), 16);
    const body = new Uint8Array(40);
    body.set(open.body.subarray(0, 8));
    new DataView(body.buffer).setUint32(16, 4096, true);
    const read = await this.request(FUSE_READ, node, body, 4096);
    return new TextDecoder().decode(read.body);
  }
}

async function start(onEnd: (failure: VirtiofsdError) => void = () => {}): Promise<Virtiofsd> {
  const socketPath = join(directory, 'fs.sock');
  return stack.use(await Virtiofsd.start({ sharedDirectory: served, socketPath, onEnd }));
}

async function guestOf(): Promise<FuseGuest> {
  await start();
  return new FuseGuest(join(directory, 'fs.sock'));
}

describe('virtiofsd over vhost-user', () => {
  test('serves a file: init, lookup, open, read', async () => {
    writeFileSync(join(served, 'greeting'), 'hello from the host');
    const guest = await guestOf();
    expect(guest.machine.failures).toEqual([]);
    expect(await guest.init()).toBe(7);
    const { error, node } = await guest.lookup(FUSE_ROOT_ID, 'greeting');
    expect(error).toBe(0);
    expect(await guest.readFile(node)).toBe('hello from the host');
  });

  test('tells what is not there', async () => {
    const guest = await guestOf();
    await guest.init();
    expect((await guest.lookup(FUSE_ROOT_ID, 'nothing')).error).toBe(-2);
  });

  test('serves a mount that was made after it started', async () => {
    mkdirSync(join(served, 'volume'));
    mkdirSync(join(directory, 'source'));
    writeFileSync(join(directory, 'source', 'file'), 'mounted late');
    const guest = await guestOf();
    await guest.init();
    execFileSync('mount', ['--bind', join(directory, 'source'), join(served, 'volume')]);
    // Lazily: virtiofsd holds the folders that the guest looked up.
    stack.defer(() => void execFileSync('umount', ['--lazy', join(served, 'volume')]));
    const volume = await guest.lookup(FUSE_ROOT_ID, 'volume');
    const file = await guest.lookup(volume.node, 'file');
    expect(await guest.readFile(file.node)).toBe('mounted late');
  });

  test('serves the driver again after a reset', async () => {
    writeFileSync(join(served, 'file'), 'again');
    const guest = await guestOf();
    await guest.init();
    guest.machine.driver.start({ queueSize: 32 });
    await guest.init();
    const { node } = await guest.lookup(FUSE_ROOT_ID, 'file');
    expect(await guest.readFile(node)).toBe('again');
  });

  test('its death fails the device and is told with its name', async () => {
    const ended: VirtiofsdError[] = [];
    const virtiofsd = await start((failure) => void ended.push(failure));
    const guest = new FuseGuest(join(directory, 'fs.sock'));
    process.kill(virtiofsd.pid ?? 0, 'SIGKILL');
    for (let waited = 0; waited < 1000 && (ended.length === 0 || guest.machine.failures.length === 0); waited++) {
      await sleep(2);
    }
    expect(guest.machine.transport.state.kind).toBe('failed');
    expect(guest.machine.failures[0]).toBeInstanceOf(VhostUserError);
    expect(ended.map(({ code }) => code)).toEqual(['ENDED']);
    expect(ended[0]?.message).toContain('SIGKILL');
  });
});

test('a folder that is not there is an error with what virtiofsd said', async () => {
  const attempt = Virtiofsd.start({ sharedDirectory: join(directory, 'none'), socketPath: join(directory, 'fs.sock') });
  await expect(attempt).rejects.toMatchObject({ code: 'NOT_STARTED', message: expect.stringContaining('none') });
});

test('nothing is left when it is disposed', async () => {
  const virtiofsd = await start();
  const pid = virtiofsd.pid ?? 0;
  await virtiofsd[Symbol.asyncDispose]();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(join(directory, 'fs.sock'))).toBe(false);
});

test('a front end without a back end says which socket it tried', () => {
  const path = join(directory, 'nobody.sock');
  expect(() => new VhostUserFrontEnd({ path, memory: [], queueCount: 1 })).toThrow(path);
});
