// A block device over vhost-user with the real qemu-storage-daemon and a qcow2 image. Needs the program, but no KVM: guest
// memory is a memfd that nobody executes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '../devices/virtio/abi.gen.ts';
import { VhostUserBlockDevice } from '../devices/virtio/block/vhost-user-device.ts';
import type { ActiveDevice } from '../devices/virtio/device.ts';
import { requestHeader } from '../devices/virtio/testing/block-guest.ts';
import { type BufferPart, MockMachine } from '../devices/virtio/testing/mock-driver.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import { createMemfd, mapShared } from '../ffi/memory.unsafe.ts';
import { guestAddress } from '../lib/brand.ts';
import { KIB, MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import type { BackEndProcess } from './back-end-process.ts';
import { startStorageDaemon } from './storage-daemon.ts';
import { VhostUserFrontEnd } from './vhost-user.ts';

const RAM_SIZE = 4 * MIB;
const DISK_SIZE = 8 * MIB;
const STATUS_OK = 0;
const SECTOR = new Uint8Array(512).fill(0x5a);

let stack: AsyncDisposableStack;
let image = '';

beforeEach(() => {
  stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'storage-daemon-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  image = join(folder, 'disk,1.qcow2');
  writeFileSync(image, emptyQcow2(DISK_SIZE));
});

afterEach(() => stack.disposeAsync());

/** An image without data (QEMU's documentation, "Qcow2 Image File Format", version 2): header, refcounts, L1 table. */
function emptyQcow2(size: number): Uint8Array {
  const cluster = 64 * KIB;
  const view = new DataView(new ArrayBuffer(4 * cluster));
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, 2);
  view.setUint32(20, 16);
  view.setBigUint64(24, BigInt(size));
  view.setUint32(36, 1);
  view.setBigUint64(40, BigInt(3 * cluster));
  view.setBigUint64(48, BigInt(cluster));
  view.setUint32(56, 1);
  view.setBigUint64(cluster, BigInt(2 * cluster));
  for (let used = 0; used < 4; used++) view.setUint16(2 * cluster + 2 * used, 1);
  return new Uint8Array(view.buffer);
}

interface Guest {
  readonly machine: MockMachine;
  readonly device: VhostUserBlockDevice;
  readonly active: ActiveDevice;
  request(type: number, sector: bigint, ...data: readonly BufferPart[]): Promise<Uint8Array>;
}

async function guestOf(program: BackEndProcess): Promise<Guest> {
  const memfd = stack.use(createMemfd('guest', RAM_SIZE));
  const mapping = stack.use(mapShared(memfd.fd, RAM_SIZE, 'guest'));
  const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: mapping.bytes }]);
  const shared = [{ guestAddress: 0, size: RAM_SIZE, fd: memfd.fd, fdOffset: 0 }];
  const backend = await program.open((connection) =>
    VhostUserFrontEnd.open({ connection, name: program.name, memory: shared, queueCount: 1 }),
  );
  const device = new VhostUserBlockDevice({ name: 'disk', backend: stack.use(backend) });
  const [kick, call] = [stack.use(new EventFd()), stack.use(new EventFd())];
  const machine = new MockMachine(device, { memory, eventFds: () => ({ kick: kick.fd, call: call.fd }) });
  stack.defer(() => machine.transport[Symbol.dispose]());
  machine.driver.start({ queueSize: 64 });
  return {
    machine,
    device,
    get active() {
      const { state } = machine.transport;
      if (state.kind !== 'active') throw new Error(`the device is ${state.kind}`);
      return state.device;
    },
    async request(type, sector, ...data) {
      const queue = machine.driver.queue(0);
      queue.push({ read: requestHeader(type, sector) }, ...data, { write: 1 });
      kick.signal();
      for (let waited = 0; waited < 5000; waited++) {
        const [used] = queue.takeUsed();
        if (used !== undefined) return used.room;
        await sleep(1);
      }
      throw new Error('qemu-storage-daemon did not answer within five seconds');
    },
  };
}

const start = (options: { readonly readOnly?: boolean } = {}): BackEndProcess =>
  stack.use(startStorageDaemon({ path: image, format: 'qcow2', ...options }));

test('a disk has the size of what is in the image, and what is written is read', async () => {
  const guest = await guestOf(start());
  expect(new DataView(guest.device.configurationSpace.buffer).getBigUint64(0, true)).toBe(BigInt(DISK_SIZE / 512));
  expect(await guest.request(VIRTIO_BLK_T_OUT, 9n, { read: SECTOR })).toEqual(Uint8Array.of(STATUS_OK));
  const read = await guest.request(VIRTIO_BLK_T_IN, 9n, { write: 512 });
  expect(read).toEqual(Uint8Array.of(...SECTOR, STATUS_OK));
  expect(guest.machine.failures).toEqual([]);
});

test('what was written and not flushed is in the image when the program has ended with us', async () => {
  const program = start();
  const guest = await guestOf(program);
  await guest.request(VIRTIO_BLK_T_OUT, 9n, { read: SECTOR });
  await program[Symbol.asyncDispose]();
  const again = await guestOf(start());
  expect(await again.request(VIRTIO_BLK_T_IN, 9n, { write: 512 })).toEqual(Uint8Array.of(...SECTOR, STATUS_OK));
});

test('a disk at rest does nothing, and goes on with what was asked meanwhile', async () => {
  const guest = await guestOf(start());
  await guest.request(VIRTIO_BLK_T_OUT, 1n, { read: SECTOR });
  await guest.active.quiesce?.();
  expect(guest.active.saveState?.()).toEqual({ writethrough: false });
  const flush = guest.request(VIRTIO_BLK_T_FLUSH, 0n);
  await sleep(20);
  expect(guest.machine.driver.queue(0).takeUsed()).toEqual([]);
  guest.active.resume?.();
  expect(await flush).toEqual(Uint8Array.of(STATUS_OK));
});

test('a read-only image is not written to', async () => {
  const before = readFileSync(image);
  const guest = await guestOf(start({ readOnly: true }));
  expect(guest.device.isReadOnly).toBe(true);
  expect(await guest.request(VIRTIO_BLK_T_OUT, 9n, { read: SECTOR })).not.toEqual(Uint8Array.of(STATUS_OK));
  expect(readFileSync(image).equals(before)).toBe(true);
});

test('what is no image is an error with what the program said', async () => {
  writeFileSync(image, 'no image at all');
  await expect(guestOf(start())).rejects.toMatchObject({
    code: 'NOT_STARTED',
    message: expect.stringMatching(/qemu-storage-daemon, serving .*qcow2, ended.*not in qcow2 format/s),
  });
});
