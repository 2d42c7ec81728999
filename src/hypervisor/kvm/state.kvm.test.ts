import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EventFd } from '../../ffi/eventfd.unsafe.ts';
import { type Fd, guestAddress } from '../../lib/brand.ts';
import type { HostMemory, Vcpu, VmExit } from '../ports.ts';
import { GUEST_LIMIT_MS, hasKvm } from '../testing/kvm.ts';
import { RestoredGuest, type SavedGuest, withoutStructure, withStructure } from '../testing/snapshot.ts';
import {
  KVM_CAP_MAX_VCPUS,
  KVM_CAP_NR_MEMSLOTS,
  KVM_MP_STATE_HALTED,
  KVM_MP_STATE_UNINITIALIZED,
  kvm_clock_data,
  kvm_vcpu_events,
} from './abi.gen.ts';
import { BARE_LAYOUT, BareGuest, runVcpu } from './bare-guest.ts';
import { KvmHypervisor } from './hypervisor.ts';
import { machineCode } from './machine-code.ts';
import { savedClockNs } from './machine-state.ts';
import { IA32_TSC, IA32_TSC_DEADLINE } from './msrs.ts';
import { decodeMsrs, encodeMsrs, type Msr } from './registers.ts';

const COUNT_IN_AL = machineCode(`
  fe c0 ; inc al
  e6 80 ; out 0x80, al
  eb fa ; jmp to inc`);
/** Counts in AL and in memory, and writes both. */
const COUNTER = 0x600;
const COUNT_IN_MEMORY = machineCode(`
  fe 06 00 06 ; inc byte [0x600]
  a0 00 06    ; mov al, [0x600]
  e6 80       ; out 0x80, al
  eb f5       ; jmp to inc`);
/** Sets the PICs up so that IRQ 4 is vector 0x24, and waits for it. */
const WAIT_FOR_IRQ_4 = machineCode(`
  b0 11 e6 20 b0 20 e6 21 b0 04 e6 21 b0 01 e6 21 ; ICW1 to ICW4 of the first PIC
  b0 ef e6 21                                     ; all but IRQ 4 are masked
  e6 80                                           ; out 0x80, al: ready
  fb f4 eb fd                                     ; sti; hlt; jmp to hlt`);
const HANDLER = machineCode('b0 77 e6 80 f4 ; mov al, 0x77; out 0x80, al; hlt');

/** Puts the handler of vector 0x24 behind the code, in real mode. */
function addHandler(memory: HostMemory): void {
  memory.bytes.set(HANDLER, BARE_LAYOUT.code + 0x100);
  new DataView(memory.bytes.buffer).setUint32(0x24 * 4, ((BARE_LAYOUT.code >>> 4) << 16) | 0x100, true);
}

/** Runs a vCPU until it wrote so many bytes, and stops it behind that. */
async function writtenUntilStop(vcpu: Vcpu, count: number): Promise<number[]> {
  const written: number[] = [];
  await runVcpu(
    vcpu,
    (exit) => {
      if (exit.kind === 'pio-write') written.push(...exit.data);
      if (written.length >= count) vcpu.kick();
      return exit.kind !== 'interrupted';
    },
    GUEST_LIMIT_MS,
  );
  return written;
}

function save(guest: BareGuest | RestoredGuest, interruptControllers = false): SavedGuest {
  return {
    vcpus: guest.vcpus.map((vcpu) => vcpu.saveState()),
    machine: guest.vm.saveState(),
    interruptControllers,
  };
}

function firstVcpu(saved: SavedGuest): SavedGuest['vcpus'][number] {
  const [state] = saved.vcpus;
  if (state === undefined) throw new RangeError('no vCPU was saved');
  return state;
}

function msrsOf(saved: SavedGuest): Msr[] {
  return decodeMsrs(new DataView(Uint8Array.from(firstVcpu(saved).structures['KVM_GET_MSRS'] ?? []).buffer));
}

function mpState(saved: SavedGuest, index: number): number | undefined {
  return saved.vcpus[index]?.structures['KVM_GET_MP_STATE']?.[0];
}

describe.skipIf(!hasKvm())('a saved guest', () => {
  let kvm: KvmHypervisor;
  let memory: HostMemory;

  beforeAll(() => {
    kvm = KvmHypervisor.open();
    return () => kvm[Symbol.dispose]();
  });

  /** Fresh memory for one test, disposed after the guests in it. */
  function useMemory(stack: DisposableStack): HostMemory {
    memory = stack.use(kvm.allocateMemory(BARE_LAYOUT.memorySize, { shared: true, name: 'state test' }));
    return memory;
  }

  /** Runs a guest until it wrote three bytes, saves it and disposes its VM. */
  async function runAndSave(
    code: Uint8Array,
    options: { readonly mode: 'real' | 'long'; readonly interruptControllers: boolean },
  ): Promise<{ readonly written: number[]; readonly saved: SavedGuest }> {
    using guest = new BareGuest(kvm, { code, memory, ...options });
    const written = await writtenUntilStop(guest.vcpu, 3);
    return { written, saved: save(guest, options.interruptControllers) };
  }

  test.each([
    { mode: 'real', interruptControllers: false },
    { mode: 'real', interruptControllers: true },
    { mode: 'long', interruptControllers: true },
  ] as const)('in $mode mode goes on in a new VM (interrupt controllers: $interruptControllers)', async (options) => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { written, saved } = await runAndSave(COUNT_IN_AL, options);

    using restored = new RestoredGuest(kvm, saved, memory);
    const more = await writtenUntilStop(restored.vcpu, 3);

    expect(more.slice(0, 3)).toEqual([1, 2, 3].map((step) => (written.at(-1) ?? 0) + step));
  });

  test('is the same when it is saved again, but for the time', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { saved } = await runAndSave(COUNT_IN_AL, { mode: 'long', interruptControllers: true });
    // XMM0 to XMM3 of the legacy region, with SSE in XSTATE_BV (Intel SDM 1, 13.4); DR0; a system call's target.
    const vcpu = firstVcpu(saved);
    const xsave = Object.keys(vcpu.structures).find((name) => name.startsWith('KVM_GET_XSAVE')) ?? '';
    const filled = withStructure(
      withStructure(vcpu, xsave, (view) => {
        for (let at = 160; at < 224; at++) view.setUint8(at, at);
        view.setBigUint64(512, view.getBigUint64(512, true) | 2n, true);
      }),
      'KVM_GET_DEBUGREGS',
      (view) => view.setBigUint64(0, 0x1234_5678n, true),
    );

    using restored = new RestoredGuest(kvm, { ...saved, vcpus: [filled] }, memory);
    const again = save(restored, true);

    const withoutMsrs = withoutStructure(firstVcpu(again), 'KVM_GET_MSRS');
    expect(withoutMsrs).toEqual(withoutStructure(filled, 'KVM_GET_MSRS'));
    const timeless = ({ index }: Msr): boolean => index !== IA32_TSC && index !== IA32_TSC_DEADLINE;
    expect(msrsOf(again).filter(timeless)).toEqual(msrsOf(saved).filter(timeless));
    for (const name of ['KVM_IRQCHIP_PIC_MASTER', 'KVM_IRQCHIP_PIC_SLAVE', 'KVM_IRQCHIP_IOAPIC'])
      expect(again.machine.structures[name]).toEqual(saved.machine.structures[name]);
  });

  test('goes on in two VMs that do not see each other, from a file that stays as it is', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { written, saved } = await runAndSave(COUNT_IN_MEMORY, { mode: 'real', interruptControllers: true });
    const { first, second, unchanged } = cloneFile(kvm, stack, memory.bytes);

    using one = stack.use(new RestoredGuest(kvm, saved, first));
    using other = stack.use(new RestoredGuest(kvm, saved, second));
    const byOne = await writtenUntilStop(one.vcpu, 20);
    const byOther = await writtenUntilStop(other.vcpu, 3);

    const last = written.at(-1) ?? 0;
    expect(byOne.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, step) => last + 1 + step));
    expect(byOther.slice(0, 3)).toEqual([last + 1, last + 2, last + 3]);
    expect(first.bytes[COUNTER]).toBeGreaterThanOrEqual(last + 20);
    expect(second.bytes[COUNTER]).toBeLessThan(last + 20);
    expect(unchanged()).toBe(true);
  });

  test('reads zeros in a page of its file that was discarded under the running VM, as KVM had it mapped', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { saved } = await runAndSave(COUNT_IN_MEMORY, { mode: 'real', interruptControllers: false });
    const { first, unchanged } = cloneFile(kvm, stack, memory.bytes);
    using clone = stack.use(new RestoredGuest(kvm, saved, first));
    const written: number[] = [];

    await runVcpu(
      clone.vcpu,
      (exit) => {
        if (exit.kind === 'pio-write') written.push(...exit.data);
        if (written.length === 2) first.discard(0, 4096);
        return written.length < 4;
      },
      GUEST_LIMIT_MS,
    );

    expect(written.slice(2)).toEqual([1, 2]);
    expect(unchanged()).toBe(true);
  });

  test('that was stopped between two exits of one string instruction loses and doubles no byte', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const length = 5000;
    const code = machineCode(`
      bf 00 20 ; mov di, 0x2000
      b9 88 13 ; mov cx, 5000
      ba 80 00 ; mov dx, 0x80
      fc       ; cld
      f3 6c    ; rep insb
      e6 81    ; out 0x81, al: done
      f4       ; hlt`);
    let next = 0;
    const supply = (exit: VmExit): void => {
      if (exit.kind === 'pio-read') for (let at = 0; at < exit.data.length; at++) exit.data[at] = next++ % 251;
    };
    const saved = await (async () => {
      using guest = new BareGuest(kvm, { mode: 'real', code, memory });
      await guest.run((exit) => {
        supply(exit);
        if (exit.kind === 'pio-read') guest.vcpu.kick();
        return exit.kind === 'pio-read';
      }, GUEST_LIMIT_MS);
      return save(guest);
    })();
    const before = next;

    using restored = new RestoredGuest(kvm, saved, memory);
    const last = await runVcpu(
      restored.vcpu,
      (exit) => {
        supply(exit);
        return exit.kind === 'pio-read';
      },
      GUEST_LIMIT_MS,
    );

    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(length);
    expect(last).toMatchObject({ kind: 'pio-write', port: 0x81 });
    expect(next).toBe(length);
    expect(memory.bytes.subarray(0x2000, 0x2000 + length).every((byte, at) => byte === at % 251)).toBe(true);
  });

  test('is refused while an instruction is half done', async () => {
    using guest = new BareGuest(kvm, { mode: 'real', code: COUNT_IN_AL });

    await guest.run(() => false, GUEST_LIMIT_MS);

    expect(() => guest.vcpu.saveState()).toThrow('vCPU 0 is stopped at pio-write, in the middle of an instruction');
  });

  test('that was halted in the kernel is woken by an interrupt in its new VM', async () => {
    using stack = new DisposableStack();
    addHandler(useMemory(stack));
    const saved = await (async () => {
      using guest = new BareGuest(kvm, { mode: 'real', code: WAIT_FOR_IRQ_4, memory, interruptControllers: true });
      const isHalted = (): boolean =>
        guest.vcpu.saveState().structures['KVM_GET_MP_STATE']?.[0] === KVM_MP_STATE_HALTED;
      await guest.run((exit) => {
        if (exit.kind === 'interrupted' && isHalted()) return false;
        setTimeout(() => guest.vcpu.kick(), 5);
        return true;
      }, GUEST_LIMIT_MS);
      return save(guest, true);
    })();

    using restored = new RestoredGuest(kvm, saved, memory);
    using line = new EventFd();
    restored.vm.connectIrqFd(line.fd, 4);
    line.signal();
    const last = await runVcpu(restored.vcpu, () => false, GUEST_LIMIT_MS);

    expect(mpState(saved, 0)).toBe(KVM_MP_STATE_HALTED);
    expect(last).toMatchObject({ kind: 'pio-write', data: Uint8Array.of(0x77) });
  });

  test('gets the interrupt that was on its way to it', async () => {
    using stack = new DisposableStack();
    addHandler(useMemory(stack));
    const { saved } = await runAndSave(COUNT_IN_AL, { mode: 'real', interruptControllers: true });
    const state = withStructure(firstVcpu(saved), 'KVM_GET_VCPU_EVENTS', (view) => {
      view.setUint8(kvm_vcpu_events['interrupt.injected'], 1);
      view.setUint8(kvm_vcpu_events['interrupt.nr'], 0x24);
    });

    using restored = new RestoredGuest(kvm, { ...saved, vcpus: [state] }, memory);
    const last = await runVcpu(restored.vcpu, () => false, GUEST_LIMIT_MS);

    expect(last).toMatchObject({ kind: 'pio-write', data: Uint8Array.of(0x77) });
  });

  test('has vCPUs that wait to be started by another one, and such that were never run', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    using guest = new BareGuest(kvm, {
      mode: 'real',
      code: COUNT_IN_AL,
      memory,
      vcpuCount: 3,
      interruptControllers: true,
    });
    const waiting = guest.vcpus[1] ?? guest.vcpu;
    setTimeout(() => waiting.kick(), 20);
    const exit = await runVcpu(waiting, () => false, GUEST_LIMIT_MS);
    const saved = save(guest, true);

    using restored = new RestoredGuest(kvm, saved, memory);
    const again = save(restored, true);

    expect(exit).toEqual({ kind: 'interrupted' });
    expect([1, 2].map((index) => mpState(saved, index))).toEqual(Array(2).fill(KVM_MP_STATE_UNINITIALIZED));
    expect([0, 1, 2].map((index) => mpState(again, index))).toEqual([0, 1, 2].map((index) => mpState(saved, index)));
  });

  test('may have 32 vCPUs, each of which goes on', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const saved = await (async () => {
      using guest = new BareGuest(kvm, { mode: 'real', code: COUNT_IN_AL, memory, vcpuCount: 32 });
      await Promise.all(guest.vcpus.map((vcpu) => writtenUntilStop(vcpu, 1)));
      return save(guest);
    })();
    const counts = saved.vcpus.map(({ structures }) => structures['KVM_GET_REGS']?.[0] ?? 0);

    using restored = new RestoredGuest(kvm, saved, memory);
    const next = await Promise.all(restored.vcpus.map(async (vcpu) => (await writtenUntilStop(vcpu, 1))[0]));

    expect(next).toEqual(counts.map((count) => count + 1));
  });

  test('has a clock that goes on where it stopped', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { saved } = await runAndSave(COUNT_IN_AL, { mode: 'real', interruptControllers: true });
    const elevenDaysNs = 10n ** 15n;
    const machine = withStructure(saved.machine, 'KVM_GET_CLOCK', (view) =>
      view.setBigUint64(kvm_clock_data.clock, elevenDaysNs, true),
    );

    using restored = new RestoredGuest(kvm, { ...saved, machine }, memory);
    const guestNs = savedClockNs(restored.vm.saveState());

    expect(guestNs).toBeGreaterThanOrEqual(elevenDaysNs);
    expect(guestNs).toBeLessThan(elevenDaysNs + 10n ** 14n);
  });

  test('with a register value that KVM refuses is refused by that name', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { saved } = await runAndSave(COUNT_IN_AL, { mode: 'real', interruptControllers: true });
    const noSuchRegister = 0xdead_beef;
    const msrs = new Uint8Array(encodeMsrs([{ index: noSuchRegister, value: 1n }]).buffer);
    const vcpu = firstVcpu(saved);
    const state = { ...vcpu, structures: { ...vcpu.structures, KVM_GET_MSRS: msrs } };

    expect(() => new RestoredGuest(kvm, { ...saved, vcpus: [state] }, memory)).toThrow(
      "this host's KVM refuses MSR 0xdeadbeef of saved vCPU 0, value 0x1",
    );
  });

  test('does not fit a vCPU that has run', async () => {
    using stack = new DisposableStack();
    useMemory(stack);
    const { saved } = await runAndSave(COUNT_IN_AL, { mode: 'real', interruptControllers: false });
    using guest = new BareGuest(kvm, { mode: 'real', code: COUNT_IN_AL });
    await guest.run(() => false, GUEST_LIMIT_MS);

    expect(() => guest.vcpu.restoreState(firstVcpu(saved))).toThrow('vCPU 0 is started already');
  });

  test('one vCPU or memory slot more than KVM has is refused with the number there may be', () => {
    using vm = kvm.createVm();
    using page = kvm.allocateMemory(4096, { shared: false, name: 'test' });
    const vcpus = kvm.capability(KVM_CAP_MAX_VCPUS);
    const slots = kvm.capability(KVM_CAP_NR_MEMSLOTS);

    expect(() => vm.createVcpu(vcpus)).toThrow(`this host's KVM has ${vcpus} of them in a VM`);
    expect(() => vm.setMemorySlot(slots, guestAddress(0), page)).toThrow('KVM_CAP_NR_MEMSLOTS');
  });
});

const FOLDER = mkdtempSync(join(tmpdir(), 'kvm-state-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));

/** Two pieces of memory mapped from one file with these bytes. */
function cloneFile(
  kvm: KvmHypervisor,
  stack: DisposableStack,
  bytes: Uint8Array,
): { readonly first: HostMemory; readonly second: HostMemory; readonly unchanged: () => boolean } {
  const path = join(FOLDER, 'memory');
  const contents = Uint8Array.from(bytes);
  writeFileSync(path, contents);
  const map = (): HostMemory => {
    const fd = openSync(path, 'r');
    try {
      return stack.use(kvm.mapFileMemory(fd as Fd, 0, contents.length, 'clone'));
    } finally {
      closeSync(fd);
    }
  };
  return { first: map(), second: map(), unchanged: () => Buffer.compare(readFileSync(path), contents) === 0 };
}
