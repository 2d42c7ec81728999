import { expect, test, vi } from 'vitest';
import type { Vcpu, VcpuHandlers, VmExit } from '../hypervisor/ports.ts';
import { StopLatch } from './stop-reason.ts';
import { Hold, VcpuGroup } from './vcpu-group.ts';

const INTERRUPTED: VmExit = { kind: 'interrupted' };
const WRITE: VmExit = { kind: 'mmio-write', address: 0, data: new Uint8Array(4) };

class FakeVcpu {
  readonly start = vi.fn<(handlers: VcpuHandlers) => void>();
  readonly resume = vi.fn();
  readonly kick = vi.fn();
  readonly notifyClockPaused = vi.fn();

  exit(exit: VmExit): boolean | undefined {
    return this.start.mock.calls[0]?.[0].onExit(exit);
  }
}

function makeGroup(count = 2) {
  const fakes = Array.from({ length: count }, () => new FakeVcpu());
  const latch = new StopLatch();
  const hold = new Hold();
  const handleExit = vi.fn<(vcpu: Vcpu, exit: VmExit) => void>();
  const vcpus = fakes as unknown as Vcpu[];
  return { group: new VcpuGroup({ vcpus, latch, hold, handleExit }), fakes, latch, hold, handleExit };
}

test('a pause is over when every vCPU has come to rest', async () => {
  const { group, fakes } = makeGroup();
  group.start();
  const paused = vi.fn();
  const pause = group.pause().then(paused);
  expect(fakes[0]?.exit(INTERRUPTED)).toBe(false);
  await Promise.resolve();
  expect(paused).not.toHaveBeenCalled();
  expect(group.state).toBe('pausing');
  expect(fakes[1]?.exit(INTERRUPTED)).toBe(false);
  await pause;
  expect(group.state).toBe('paused');
  expect(fakes.map(({ notifyClockPaused }) => notifyClockPaused.mock.calls.length)).toEqual([1, 1]);
});

test('an exit that is on its way when the pause begins is answered first', async () => {
  const { group, fakes, handleExit } = makeGroup(1);
  group.start();
  const pause = group.pause();
  expect(fakes[0]?.exit(WRITE)).toBe(true);
  expect(handleExit).toHaveBeenCalledTimes(1);
  fakes[0]?.exit(INTERRUPTED);
  await pause;
  expect(group.state).toBe('paused');
});

test('after a pause all go on', async () => {
  const { group, fakes } = makeGroup();
  group.start();
  const pause = group.pause();
  for (const fake of fakes) fake.exit(INTERRUPTED);
  await pause;
  group.resume();
  expect(fakes.map(({ resume }) => resume.mock.calls.length)).toEqual([1, 1]);
  expect(fakes[0]?.exit(INTERRUPTED)).toBe(true);
  expect(group.state).toBe('running');
});

test('a vCPU that is held rests once it is not held any more', async () => {
  const { group, fakes, hold, handleExit } = makeGroup(1);
  const busy = Promise.withResolvers<void>();
  handleExit.mockImplementation(() => hold.set(busy.promise));
  group.start();
  expect(fakes[0]?.exit(WRITE)).toBe(false);
  const pause = group.pause();
  busy.resolve();
  await busy.promise;
  expect(fakes[0]?.resume).toHaveBeenCalledTimes(1);
  fakes[0]?.exit(INTERRUPTED);
  await pause;
  expect(group.state).toBe('paused');
});

test('a vCPU that is held when the VM ends does not go on', async () => {
  const { group, fakes, hold, handleExit, latch } = makeGroup(1);
  const busy = Promise.withResolvers<void>();
  handleExit.mockImplementation(() => hold.set(busy.promise));
  group.start();
  fakes[0]?.exit(WRITE);
  latch.stop({ kind: 'killed' });
  busy.resolve();
  await busy.promise;
  expect(fakes[0]?.resume).not.toHaveBeenCalled();
});

test('a pause of a VM that ends meanwhile says so', async () => {
  const { group, latch } = makeGroup();
  group.start();
  const pause = group.pause();
  latch.stop({ kind: 'killed' });
  await expect(pause).rejects.toThrow('the VM ended while it was being paused');
});

test('what the state does not allow is refused with the state', async () => {
  const { group, latch } = makeGroup();
  await expect(group.pause()).rejects.toThrow('cannot pause the VM: it is created, not running');
  group.start();
  expect(() => group.resume()).toThrow('cannot resume the VM: it is running, not paused');
  expect(() => group.start()).toThrow('cannot start the VM: it is running, not created');
  latch.stop({ kind: 'killed' });
  expect(() => group.resume()).toThrow('cannot resume the VM: it has ended');
});
