import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { VcpuHandlers } from '../hypervisor/ports.ts';
import { MIB } from '../lib/units.ts';
import type { VmEvent } from './operations.ts';
import { SnapshotFolder } from './snapshot-folder.ts';
import { StopLatch } from './stop-reason.ts';
import { Timeline } from './timeline.ts';
import { Hold } from './vcpu-group.ts';
import { Vm, type VmParts } from './vm.ts';
import { VmEvents } from './vm-events.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-test-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A vCPU that comes to rest as soon as it is kicked. */
class FakeVcpu {
  #handlers: VcpuHandlers | undefined;
  readonly resume = vi.fn();
  readonly exitCounts = new Map<string, number>();

  start(handlers: VcpuHandlers): void {
    this.#handlers = handlers;
  }

  kick(): void {
    setImmediate(() => this.#handlers?.onExit({ kind: 'interrupted' }));
  }

  notifyClockPaused(): void {}

  saveState() {
    return { version: 1, index: 0, structures: {} };
  }
}

function makeVm(parts: Partial<VmParts> = {}) {
  const vcpu = new FakeVcpu();
  const devices = {
    quiesce: vi.fn(async () => {}),
    resume: vi.fn(),
    saveState: vi.fn(() => []),
  };
  const bytes = new Uint8Array(8 * MIB).fill(1);
  const resources = new AsyncDisposableStack();
  const released = vi.fn();
  resources.defer(released);
  const events: VmEvent['kind'][] = [];
  const vm = new Vm({
    config: { kernelPath: 'vmlinux', memoryMib: 8, cpus: 1 },
    vcpus: [vcpu],
    latch: new StopLatch(),
    hold: new Hold(),
    events: new VmEvents(),
    timeline: new Timeline(),
    devices,
    machine: { saveState: () => ({ version: 1, structures: {} }) },
    legacy: { saveState: () => ({}) },
    ram: [{ host: { bytes } }],
    virtio: { all: [], nets: [] },
    resources,
    ...parts,
  } as unknown as VmParts);
  vm.watch(({ kind }) => void events.push(kind));
  return { vm, vcpu, devices, bytes, released, events };
}

/** Devices that come to rest when `rest` is called; `asked` settles when they are to. */
function holdDevices({ quiesce }: ReturnType<typeof makeVm>['devices']) {
  const asked = Promise.withResolvers<void>();
  const rested = Promise.withResolvers<void>();
  quiesce.mockImplementation(() => {
    asked.resolve();
    return rested.promise;
  });
  return { asked: asked.promise, rest: rested.resolve };
}

const path = (name: string): string => join(folder, name);
const isWhole = (name: string): boolean => {
  using snapshot = new SnapshotFolder(path(name), { verifyMemory: true });
  return snapshot.manifest.memory.bytes === 8 * MIB;
};

describe('while a snapshot is being written', () => {
  test('the guest stands still, whatever is asked, and goes on afterwards', async () => {
    const { vm, vcpu, devices, events } = makeVm();
    const { asked, rest } = holdDevices(devices);
    vm.start();
    const written = vm.snapshot(path('one'));
    await asked;

    expect(() => vm.resume()).toThrow('cannot resume the VM: a snapshot of it is being written');
    await expect(vm.pause()).rejects.toThrow('cannot pause the VM: a snapshot of it is being written');
    await expect(vm.snapshot(path('two'))).rejects.toThrow('a snapshot of it is being written');
    expect(vcpu.resume).not.toHaveBeenCalled();

    rest();
    await written;
    expect(vm.state).toBe('running');
    expect(events).toEqual(['started', 'paused', 'snapshot-taken', 'resumed']);
    expect(readdirSync(folder)).toEqual(['one']);
    expect(isWhole('one')).toBe(true);
  });

  test('so it does in a VM that was paused before', async () => {
    const { vm, devices } = makeVm();
    vm.start();
    await vm.pause();
    const written = vm.snapshot(path('one'));

    await expect(vm.snapshot(path('two'))).rejects.toThrow('a snapshot of it is being written');
    expect(() => vm.resume()).toThrow('a snapshot of it is being written');

    await written;
    expect(devices.resume).toHaveBeenCalledTimes(1);
    expect(vm.state).toBe('paused');
    vm.resume();
    expect(vm.state).toBe('running');
  });

  test('the end of the VM ends the snapshot, before what it is written from is gone', async () => {
    const { vm, devices, released } = makeVm();
    const ended = Promise.withResolvers<void>();
    devices.saveState.mockImplementation(() => {
      setImmediate(() => vm[Symbol.asyncDispose]().then(ended.resolve, ended.reject));
      return [];
    });
    released.mockImplementation(() => expect(readdirSync(folder)).toEqual([]));
    vm.start();
    const written = vm.snapshot(path('one'));

    await expect(written).rejects.toMatchObject({ code: 'ENDED' });
    await ended.promise;
    expect(released).toHaveBeenCalledTimes(1);
    expect(readdirSync(folder)).toEqual([]);
  });
});

test('a VM that ends while its devices come to rest is not read any more', async () => {
  const { vm, devices, events } = makeVm();
  const { asked, rest } = holdDevices(devices);
  vm.start();
  const written = vm.snapshot(path('one'));
  await asked;

  await vm[Symbol.asyncDispose]();
  rest();

  await expect(written).rejects.toMatchObject({ code: 'ENDED' });
  expect(readdirSync(folder)).toEqual([]);
  expect(events).not.toContain('snapshot-taken');
});

test('a device that does not come to rest fails the snapshot; the guest goes on, and another one can be taken', async () => {
  const { vm, devices } = makeVm();
  devices.quiesce.mockRejectedValueOnce(new Error('busy'));
  vm.start();

  await expect(vm.snapshot(path('one'))).rejects.toThrow('busy');
  expect(vm.state).toBe('running');
  expect(devices.resume).not.toHaveBeenCalled();

  await vm.snapshot(path('one'), { resume: false });
  expect(vm.state).toBe('paused');
  expect(isWhole('one')).toBe(true);
});

test('a snapshot that cannot be written lets the guest go on, even when it was to stay paused', async () => {
  const { vm, devices } = makeVm();
  vm.start();

  await expect(vm.snapshot(path('none/one'), { resume: false })).rejects.toThrow('cannot write the snapshot');

  expect(devices.resume).toHaveBeenCalledTimes(1);
  expect(vm.state).toBe('running');
});

test.each([
  [false, 'vmlinux'],
  [true, undefined],
])('restored: %s; a summary names the kernel %s', (isRestored, kernelPath) => {
  const { vm } = makeVm({ isRestored });

  expect(vm.summary.kernelPath).toBe(kernelPath);
});
