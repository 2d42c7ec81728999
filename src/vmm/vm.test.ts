import { expect, test, vi } from 'vitest';
import { AddressBus } from '../bus/address-bus.ts';
import type { Vcpu, VcpuHandlers, VmExit } from '../hypervisor/ports.ts';
import { StopLatch } from './stop-reason.ts';
import { Timeline } from './timeline.ts';
import { Hold } from './vcpu-group.ts';
import { Vm } from './vm.ts';

const WRITE: VmExit = { kind: 'mmio-write', address: 0, data: new Uint8Array(4) };

/** A VM whose only device makes the vCPU wait; `exit` is one that its vCPU has. */
function makeVm() {
  const busy = Promise.withResolvers<void>();
  const hold = new Hold();
  const mmioBus = new AddressBus('mmio');
  mmioBus.register('slow', { base: 0, length: 4 }, { read: () => {}, write: () => hold.set(busy.promise) });
  const start = vi.fn<(handlers: VcpuHandlers) => void>();
  const resume = vi.fn();
  const vcpu: Partial<Vcpu> = { index: 0, start, resume, kick: () => {} };
  const vm = new Vm({
    latch: new StopLatch(),
    hold,
    vcpus: [vcpu as Vcpu],
    pioBus: new AddressBus('pio'),
    mmioBus,
    timeline: new Timeline(),
    serialInput: () => {},
    resources: new AsyncDisposableStack(),
  });
  vm.start();
  return { vm, busy, resume, exit: (exit: VmExit) => start.mock.calls[0]?.[0].onExit(exit) };
}

test('a vCPU that is held goes on when what it waits for is over, and only then', async () => {
  const { busy, resume, exit } = makeVm();
  expect(exit(WRITE)).toBe(false);
  await Promise.resolve();
  expect(resume).not.toHaveBeenCalled();
  busy.resolve();
  await busy.promise;
  expect(resume).toHaveBeenCalledTimes(1);
  expect(exit({ kind: 'mmio-read', address: 0, data: new Uint8Array(4) })).toBe(true);
});

test('a vCPU that is held when the VM ends does not go on', async () => {
  const { vm, busy, resume, exit } = makeVm();
  exit(WRITE);
  vm.kill();
  busy.resolve();
  await busy.promise;
  expect(resume).not.toHaveBeenCalled();
});
