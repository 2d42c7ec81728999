import { describe, expect, test } from 'vitest';
import { PAGE_SIZE } from '../../lib/units.ts';
import * as abi from './abi.gen.ts';
import type { ActivationContext, ActiveDevice } from './device.ts';
import { STATUS } from './status.ts';
import { EchoDevice } from './testing/echo-device.ts';
import { MODERN, MockMachine } from './testing/mock-driver.ts';
import { TransportError } from './transport-error.ts';
import type { TransportSnapshot } from './transport-snapshot.ts';

function running(): { device: EchoDevice; machine: MockMachine } {
  const device = new EchoDevice();
  const machine = new MockMachine(device);
  machine.driver.start();
  return { device, machine };
}

async function snapshotOf(machine: MockMachine): Promise<TransportSnapshot> {
  await machine.transport.quiesce();
  return machine.transport.saveState();
}

/** A transport that nobody used, in the memory of another one. */
function freshBeside({ memory }: MockMachine, device = new EchoDevice()): MockMachine {
  return new MockMachine(device, { memory });
}

describe('at rest', () => {
  test('bells wait for the end of the rest', async () => {
    const { machine } = running();
    const queue = machine.driver.queue(0);
    await machine.transport.quiesce();
    queue.push({ read: Uint8Array.of(7) }, { write: 1 });
    queue.kick();
    expect(queue.takeUsed()).toHaveLength(0);
    machine.transport.resume();
    expect(queue.takeUsed().map(({ bytes }) => bytes)).toEqual([Uint8Array.of(7)]);
  });

  test("the device's own work waits too, in order", async () => {
    const { device, machine } = running();
    const done: string[] = [];
    await machine.transport.quiesce();
    device.context?.defer(() => done.push('deferred'));
    device.context?.guard(() => done.push('guarded'));
    machine.runDeferred();
    expect(done).toEqual([]);
    machine.transport.resume();
    expect(done).toEqual(['guarded', 'deferred']);
    expect(device.resumeCount).toBe(1);
  });

  test('work of a device that ended at rest is forgotten', async () => {
    const { device, machine } = running();
    const done: string[] = [];
    await machine.transport.quiesce();
    device.context?.guard(() => done.push('guarded'));
    machine.transport[Symbol.dispose]();
    machine.transport.resume();
    expect(done).toEqual([]);
  });

  test('what runs while the device comes to rest runs at once, but no bell is passed on', async () => {
    const { device, machine } = running();
    const { promise, resolve } = Promise.withResolvers<void>();
    device.rest = promise;
    const done: string[] = [];
    const rest = machine.transport.quiesce();
    device.context?.guard(() => done.push('completion'));
    machine.driver.queue(0).push({ read: Uint8Array.of(7) });
    machine.driver.queue(0).kick();
    expect(machine.transport.quiesce()).toBe(rest);
    expect(() => machine.transport.saveState()).toThrow(TransportError);
    resolve();
    await rest;
    expect(done).toEqual(['completion']);
    expect(machine.driver.queue(0).takeUsed()).toHaveLength(0);
  });

  test('waits for the work of a driver that has gone', async () => {
    const device = new EchoDevice();
    const { promise, resolve } = Promise.withResolvers<void>();
    const machine = new MockMachine(Object.assign(device, { idle: () => promise }));
    let isAtRest = false;
    const rest = machine.transport.quiesce().then(() => {
      isAtRest = true;
    });
    await Promise.resolve();
    expect(isAtRest).toBe(false);
    resolve();
    await rest;
    expect(isAtRest).toBe(true);
  });

  test('a device that does not come to rest goes on, with the bells that rang meanwhile', async () => {
    const { device, machine } = running();
    const { promise, reject } = Promise.withResolvers<void>();
    device.rest = promise;
    const rest = machine.transport.quiesce();
    machine.driver.queue(0).push({ read: Uint8Array.of(7) });
    machine.driver.queue(0).kick();
    reject(new Error('the disk does not answer'));
    await expect(rest).rejects.toThrow('the disk does not answer');
    expect(machine.driver.queue(0).takeUsed()).toHaveLength(1);
    expect(() => machine.transport.resume()).toThrow(TransportError);
  });

  test('a back end that watches the bells itself is rung by the VMM', async () => {
    const rung: number[] = [];
    const device = new EchoDevice();
    const activate = () => ({ [Symbol.dispose]: () => {} });
    const machine = new MockMachine(Object.assign(device, { activate }), { ringBell: (queue) => rung.push(queue) });
    machine.driver.start();
    await machine.transport.quiesce();
    machine.transport.resume();
    expect(rung).toEqual([0, 1]);
  });
});

describe('a restored transport', () => {
  test('goes on with the buffers that wait in the rings, and reads as before', async () => {
    const { machine } = running();
    const queue = machine.driver.queue(0);
    queue.push({ read: Uint8Array.of(1) }, { write: 1 });
    queue.kick();
    queue.push({ read: Uint8Array.of(2) }, { write: 1 });
    await machine.transport.quiesce();
    const page = machine.transport.page.slice();
    const moved = await machine.moveTo(new EchoDevice());
    expect(moved.transport.page).toEqual(page);
    moved.transport.resume();
    expect(queue.takeUsed().map(({ bytes }) => bytes)).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
    queue.push({ read: Uint8Array.of(3) }, { write: 1 });
    queue.kick();
    expect(queue.takeUsed().map(({ bytes }) => bytes)).toEqual([Uint8Array.of(3)]);
    expect(machine.failures.concat(moved.failures)).toEqual([]);
  });

  test('does nothing until it is resumed, and then interrupts once', async () => {
    const { machine } = running();
    machine.driver.queue(0).push({ read: Uint8Array.of(1) });
    machine.driver.queue(0).suppressInterrupts();
    const moved = await machine.moveTo(new EchoDevice());
    expect(machine.driver.queue(0).takeUsed()).toHaveLength(0);
    expect(moved.interrupts).toBe(0);
    moved.transport.resume();
    expect(machine.driver.queue(0).takeUsed()).toHaveLength(1);
    expect(moved.transport.metrics()).toEqual({ notifications: 0, interrupts: moved.interrupts, failures: 0 });
    await moved.transport.quiesce();
    const before = moved.interrupts;
    moved.transport.resume();
    expect(moved.interrupts).toBe(before);
  });

  test('gives the device what it saved', async () => {
    const { device, machine } = running();
    device.saved = { target: 12 };
    const other = new EchoDevice();
    await machine.moveTo(other);
    expect(other.context?.restored).toEqual({ target: 12 });
    expect(device.context?.restored).toBeUndefined();
  });

  test('keeps chains that the device holds on the side of the driver', async () => {
    const { device, machine } = running();
    machine.driver.queue(1).push({ write: 4 });
    device.context?.queues[1]?.take();
    const other = new EchoDevice();
    const moved = await machine.moveTo(other);
    expect(other.context?.queues[1]?.position).toEqual({ nextAvailable: 0, nextUsed: 0 });
    moved.transport.resume();
    expect(machine.driver.queue(1).takeUsed()).toHaveLength(1);
  });

  test('tells the driver what changed in the configuration space', async () => {
    const { machine } = running();
    const generation = machine.driver.readRegister(abi.VIRTIO_MMIO_CONFIG_GENERATION);
    const other = new EchoDevice();
    other.configurationSpace[0] = 42;
    const moved = await machine.moveTo(other);
    expect(moved.transport.read(abi.VIRTIO_MMIO_CONFIG, 1)).toEqual(Uint8Array.of(42));
    expect(moved.driver.readRegister(abi.VIRTIO_MMIO_CONFIG_GENERATION)).not.toBe(generation);
    expect(moved.driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS) & abi.VIRTIO_MMIO_INT_CONFIG).not.toBe(0);
  });

  test('lets a driver that was setting the device up finish that', async () => {
    const machine = new MockMachine(new EchoDevice());
    machine.driver.agreeOnFeatures(MODERN);
    machine.driver.setUpQueue(1);
    const other = new EchoDevice();
    const moved = await machine.moveTo(other);
    moved.transport.resume();
    expect(moved.interrupts).toBe(0);
    expect(moved.driver.readRegister(abi.VIRTIO_MMIO_QUEUE_READY)).toBe(1);
    moved.driver.setUpQueue(0);
    moved.driver.writeStatus(STATUS.running);
    expect(other.context?.queues.map((queue) => queue?.size)).toEqual([16, 8]);
  });

  test('of a device that had failed waits for the reset as well', async () => {
    const { machine } = running();
    machine.driver.queue(0).pushHead(99);
    machine.driver.queue(0).kick();
    const other = new EchoDevice();
    const moved = await machine.moveTo(other);
    moved.transport.resume();
    expect(moved.transport.state).toMatchObject({
      kind: 'failed',
      failure: { code: 'FAILED_BEFORE', message: machine.failures[0]?.message },
    });
    expect(moved.driver.status).toBe(STATUS.running | abi.VIRTIO_CONFIG_S_NEEDS_RESET);
    expect(other.activeCount).toBe(0);
    moved.driver.start();
    expect(moved.transport.state.kind).toBe('active');
  });

  test('of a device that nobody used is a new one', async () => {
    const machine = new MockMachine(new EchoDevice());
    const moved = await machine.moveTo(new EchoDevice());
    moved.transport.resume();
    moved.driver.start();
    expect(moved.transport.state.kind).toBe('active');
  });

  test('is refused in the place of one that was used', async () => {
    const { machine } = running();
    const snapshot = await snapshotOf(machine);
    const used = freshBeside(machine);
    used.driver.start();
    expect(() => used.transport.restoreState(snapshot)).toThrow('before its first use only');
  });
});

describe('a snapshot is refused', () => {
  type Edit = (snapshot: TransportSnapshot) => unknown;
  const editQueue =
    (edit: object): Edit =>
    (snapshot) => ({ ...snapshot, queues: [{ ...snapshot.queues[0], ...edit }, ...snapshot.queues.slice(1)] });
  const editAll =
    (edit: object): Edit =>
    (snapshot) => ({ ...snapshot, ...edit });
  const EDITS: readonly (readonly [string, Edit, RegExp])[] = [
    ['that is no object', () => 'snapshot', /it is "snapshot"; allowed is an object/],
    ['with a field missing', editAll({ queueSelect: undefined }), /queueSelect is missing/],
    ['with a number too large for JSON', editAll({ status: 15n }), /status is 15; allowed is a whole number/],
    ['with a number that is none', editAll({ status: '15' }), /status is "15"/],
    ['of another kind of device', editAll({ deviceId: 99 }), /device type 99/],
    ['with a status that there is not', editAll({ status: STATUS.running | 0x10 }), /no device status 31/],
    ['with a status without steps between', editAll({ status: 4 }), /no device status 4/],
    ['that needs a reset without a failure', editAll({ status: STATUS.running | 0x40 }), /no device status 79/],
    ['that failed without needing a reset', editAll({ failure: 'why' }), /no device status/],
    ['with features that are not offered now', editAll({ driverFeatures: '0x100000008' }), /not there now: 0x8/],
    ['with features that are no number', editAll({ driverFeatures: '0xg' }), /driverFeatures is "0xg"/],
    ['with a queue too few', editAll({ queues: [] }), /it has 0 queues/],
    ['with queues that are no list', editAll({ queues: {} }), /queues is {}; allowed is a list/],
    ['with a queue that is too large', editQueue({ size: 32 }), /32 entries, the largest is 16/],
    ['with a queue of no power of two', editQueue({ size: 3 }), /queue size of 3/],
    ['with a ring outside RAM', editQueue({ usedHigh: 1 }), /used ring at .* is not inside RAM/],
    ['with a ring beyond 52 bits', editQueue({ usedHigh: 0x8000_0000 }), /./],
    ['with a misaligned ring', editQueue({ descriptorLow: PAGE_SIZE + 1 }), /not 16-byte aligned/],
    ['with a position that is none', editQueue({ position: 5 }), /queues\[0\], position: it is 5/],
    ['with a position beyond 16 bits', editQueue({ position: { nextAvailable: 65536, nextUsed: 0 } }), /nextAvailable/],
    ['with a ready queue before FEATURES_OK', editAll({ status: STATUS.driverFound }), /a queue before FEATURES_OK/],
    ['with a device state that is none', editAll({ device: [] }), /device: it is \[\]/],
    ['with a configuration of no bytes', editAll({ configurationSpace: [256] }), /configurationSpace is \[256\]/],
  ];

  test.each(EDITS)('%s, and the transport stays new', async (_, edit, message) => {
    const { machine } = running();
    const snapshot = await snapshotOf(machine);
    const fresh = freshBeside(machine);
    const restore = () => fresh.transport.restoreState(edit(snapshot));
    expect(restore).toThrow(TransportError);
    expect(restore).toThrow(message);
    expect(fresh.transport.status).toBe(STATUS.reset);
    fresh.transport.restoreState(snapshot);
    expect(fresh.transport.state.kind).toBe('active');
  });

  test.each([
    ['throws', () => raise('no such disk')],
    ['says that it failed', (context: ActivationContext) => context.fail(new Error('no such disk'))],
  ])('when the device that is to go on %s', async (_, misbehave) => {
    const { machine } = running();
    const snapshot = await snapshotOf(machine);
    let disposals = 0;
    const activate = (context: ActivationContext): ActiveDevice => {
      misbehave(context);
      return { [Symbol.dispose]: () => void disposals++ };
    };
    const fresh = freshBeside(machine, Object.assign(new EchoDevice(), { activate }));
    expect(() => fresh.transport.restoreState(snapshot)).toThrow(/echo cannot go on from the snapshot: no such disk/);
    expect(fresh.transport.state.kind).toBe('inactive');
    expect(disposals).toBeLessThanOrEqual(1);
  });
});

function raise(message: string): never {
  throw new Error(message);
}
