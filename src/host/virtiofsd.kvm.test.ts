// The file system device over vhost-user with the real virtiofsd: a driver in memory mounts (FUSE_INIT), looks a file up and
// reads it. Needs virtiofsd and root, but no KVM: guest memory is a memfd that nobody executes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ActivationContext, ActiveDevice, DeviceState } from '../devices/virtio/device.ts';
import { FS_QUEUE, FsDevice, type FsOptions } from '../devices/virtio/fs/device.ts';
import { MockMachine } from '../devices/virtio/testing/mock-driver.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import { createMemfd, mapShared } from '../ffi/memory.unsafe.ts';
import { guestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import type { BackEndError, BackEndProcess } from './back-end-process.ts';
import { CACHE_POLICIES } from './cache-policy.ts';
import { VhostUserFrontEnd } from './vhost-user.ts';
import { VhostUserError } from './vhost-user-error.ts';
import { findVirtiofsd, startVirtiofsd, type VirtiofsdOptions } from './virtiofsd.ts';

/** The two programs differ in what they can. */
const FLAVOUR = findVirtiofsd().flavour;
const RAM_SIZE = 4 * MIB;
// linux/fuse.h
const FUSE_LOOKUP = 1;
const FUSE_MKDIR = 9;
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

/** A device whose driver starts anew where another one's files were. */
class GoingOn extends FsDevice {
  readonly #restored: DeviceState | undefined;

  constructor(options: FsOptions, restored: DeviceState | undefined) {
    super(options);
    this.#restored = restored;
  }

  override activate(context: ActivationContext): ActiveDevice {
    return super.activate(this.#restored === undefined ? context : { ...context, restored: this.#restored });
  }
}

/** A guest's FUSE client on the mock driver. */
class FuseGuest {
  readonly machine: MockMachine;
  readonly #kicks: EventFd[] = [];
  #unique = 0n;

  private constructor(device: FsDevice, memory: GuestMemory) {
    const call = stack.use(new EventFd());
    this.#kicks = device.queueSizes.map(() => stack.use(new EventFd()));
    this.machine = new MockMachine(device, {
      memory,
      eventFds: (queue) => ({ kick: (this.#kicks[queue] ?? call).fd, call: call.fd }),
    });
    stack.defer(() => this.machine.transport[Symbol.dispose]());
    this.machine.driver.start({ queueSize: 64 });
  }

  static async start(program: BackEndProcess, restored?: DeviceState): Promise<FuseGuest> {
    const memfd = stack.use(createMemfd('guest', RAM_SIZE));
    const mapping = stack.use(mapShared(memfd.fd, RAM_SIZE, 'guest'));
    const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: mapping.bytes }]);
    const shared = [{ guestAddress: 0, size: RAM_SIZE, fd: memfd.fd, fdOffset: 0 }];
    const backend = await program.open((connection) =>
      VhostUserFrontEnd.open({ connection, name: program.name, memory: shared, queueCount: 2 }),
    );
    return new FuseGuest(new GoingOn({ tag: 'shared', backend: stack.use(backend) }, restored), memory);
  }

  /** The device at work. */
  get active(): ActiveDevice {
    const { state } = this.machine.transport;
    if (state.kind !== 'active') throw new Error(`the device is ${state.kind}`);
    return state.device;
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

  /** mkdir in the root. @returns errno (0 or below) */
  async makeDirectory(name: string): Promise<number> {
    const body = Buffer.concat([new Uint8Array(new Uint32Array([0o755, 0]).buffer), Buffer.from(`${name}\0`)]);
    return (await this.request(FUSE_MKDIR, FUSE_ROOT_ID, body, 128)).error;
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

function start(options: Partial<VirtiofsdOptions> = {}): BackEndProcess {
  return stack.use(startVirtiofsd({ directory: served, ...options }));
}

const guestOf = (options: Partial<VirtiofsdOptions> = {}): Promise<FuseGuest> => FuseGuest.start(start(options));

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

  test('goes on where it stood after a pause, though requests came meanwhile', async () => {
    writeFileSync(join(served, 'file'), 'still here');
    const guest = await guestOf();
    await guest.init();
    await guest.active.quiesce?.();
    const lookup = guest.lookup(FUSE_ROOT_ID, 'file');
    await sleep(20);
    guest.active.resume?.();
    const { node } = await lookup;
    expect(await guest.readFile(node)).toBe('still here');
  });

  test('refuses to write to a read-only folder', async () => {
    mkdirSync(join(served, 'there'));
    const guest = await guestOf({ readOnly: true });
    await guest.init();
    expect((await guest.lookup(FUSE_ROOT_ID, 'there')).error).toBe(0);
    expect(await guest.makeDirectory('made')).toBe(-30);
    expect(existsSync(join(served, 'made'))).toBe(false);
  });

  test.each(CACHE_POLICIES)('serves with the cache policy %s', async (cache) => {
    const guest = await guestOf({ cache });
    await guest.init();
    expect(await guest.makeDirectory('made')).toBe(0);
  });

  test.runIf(FLAVOUR === 'rust')(
    'hands the files that the guest knows on to the virtiofsd of a restored guest',
    async () => {
      writeFileSync(join(served, 'file'), 'known before');
      const guest = await guestOf();
      await guest.init();
      const { node } = await guest.lookup(FUSE_ROOT_ID, 'file');
      await guest.active.quiesce?.();
      const state = guest.active.saveState?.();
      guest.active.resume?.();

      const restored = await FuseGuest.start(start(), state);

      restored.active.resume?.();
      expect(restored.machine.failures).toEqual([]);
      expect(await restored.readFile(node)).toBe('known before');
      expect(await guest.readFile(node)).toBe('known before');
    },
  );

  test.runIf(FLAVOUR === 'rust')('fails a restored device whose files are gone', async () => {
    writeFileSync(join(served, 'file'), 'known before');
    const guest = await guestOf();
    await guest.init();
    await guest.lookup(FUSE_ROOT_ID, 'file');
    await guest.active.quiesce?.();
    const state = guest.active.saveState?.();
    rmSync(join(served, 'file'));

    const restored = await FuseGuest.start(start(), state);

    expect(restored.machine.failures[0]?.message).toContain('could not take over');
  });

  test.runIf(FLAVOUR === 'c')('the one in C cannot hand on what the guest has open, and says what can', async () => {
    const guest = await guestOf();
    await guest.active.quiesce?.();
    expect(() => guest.active.saveState?.()).toThrow('use virtiofsd 1.11 or newer');
  });

  test('its death fails the device and is told with its name', async () => {
    const ended: BackEndError[] = [];
    const virtiofsd = start({ onEnd: (failure) => void ended.push(failure) });
    const guest = await FuseGuest.start(virtiofsd);
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
  const attempt = guestOf({ directory: join(directory, 'none') });
  await expect(attempt).rejects.toMatchObject({ code: 'NOT_STARTED', message: expect.stringContaining('none') });
});

test('nothing is left when it is disposed', async () => {
  const virtiofsd = start();
  await FuseGuest.start(virtiofsd);
  const pid = virtiofsd.pid ?? 0;
  await virtiofsd[Symbol.asyncDispose]();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test('a front end without a back end says which socket it tried', async () => {
  const path = join(directory, 'nobody.sock');
  await expect(VhostUserFrontEnd.connect({ path, memory: [], queueCount: 1 })).rejects.toThrow(path);
});
