import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { guestAddress } from '../../lib/brand.ts';
import { GUEST_LIMIT_MS, GuestUnderTest, hasKvm } from '../testing/kvm.ts';
import { BARE_LAYOUT, BareGuest } from './bare-guest.ts';
import { KvmHypervisor } from './hypervisor.ts';
import { machineCode } from './machine-code.ts';

const SPIN = machineCode(`
  e6 80 ; out 0x80, al
  eb fe ; jmp to itself`);
const COUNT = machineCode(`
  b0 00 ; mov al, 0
  fe c0 ; inc al
  e6 80 ; out 0x80, al
  eb fa ; jmp to inc`);

/** What this process holds: open files, mappings that are guests', threads. */
function holdings(): Record<string, number> {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  return {
    files: readdirSync('/proc/self/fd').length,
    guestMappings: maps.split('\n').filter((line) => /kvm-vcpu|memfd:/.test(line)).length,
    vcpuThreads: readdirSync('/proc/self/task').filter((task) => threadName(task).startsWith('vcpu')).length,
  };
}

function threadName(task: string): string {
  return readFileSync(`/proc/self/task/${task}/comm`, 'utf8');
}

describe.skipIf(!hasKvm())('a vCPU', () => {
  test('that spins leaves the guest when it is kicked, and goes on after it', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: SPIN });
    const kinds: string[] = [];

    await guest.run((exit) => {
      kinds.push(exit.kind);
      if (kinds.length < 3) setTimeout(() => guest.vcpu.kick(), 5);
      return kinds.length < 3;
    }, GUEST_LIMIT_MS);

    expect(kinds).toEqual(['pio-write', 'interrupted', 'interrupted']);
  });

  test('finds the memory that was mapped for it before its start', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    guest.vcpu.prefault(guestAddress(BARE_LAYOUT.code + 1), COUNT.length);
    guest.vcpu.prefault(guestAddress(0), BARE_LAYOUT.memorySize);
    const data: number[] = [];

    await guest.run((exit) => {
      if ('data' in exit) data.push(...(exit.data as Uint8Array));
      return data.length < 3;
    }, GUEST_LIMIT_MS);

    expect(data).toEqual([1, 2, 3]);
  });

  test('that was kicked while it waits for an answer gives that exit first, then reports the kick', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    const kinds: string[] = [];

    await guest.run((exit) => {
      kinds.push(exit.kind);
      if (kinds.length === 1) guest.vcpu.kick();
      return kinds.length < 3;
    }, GUEST_LIMIT_MS);

    expect(kinds).toEqual(['pio-write', 'interrupted', 'pio-write']);
  });

  test('stays stopped until it is resumed', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    const values: number[] = [];
    const stops = { next: Promise.withResolvers<void>() };
    guest.vcpu.start({
      onExit: (exit) => {
        if (exit.kind === 'pio-write') values.push(...exit.data);
        if (values.length % 2 === 1) return true;
        stops.next.resolve();
        return false;
      },
      onFailure: (error) => stops.next.reject(error),
    });
    await stops.next.promise;
    const afterFirst = [...values];
    stops.next = Promise.withResolvers();

    guest.vcpu.resume();
    await stops.next.promise;

    expect(afterFirst).toEqual([1, 2]);
    expect(values).toEqual([1, 2, 3, 4]);
  });

  test('shows its registers while it is stopped, and refuses while it runs', async () => {
    using guest = new GuestUnderTest({ mode: 'long', code: SPIN });

    await guest.run(() => false, GUEST_LIMIT_MS);
    const { rip } = guest.vcpu.getRegisters();
    guest.vcpu.resume();

    expect(Number(rip)).toBeGreaterThanOrEqual(BARE_LAYOUT.code);
    expect(() => guest.vcpu.getRegisters()).toThrow('vCPU 0 is running: KVM_GET_REGS would hang');
  });

  test('whose handler throws stays stopped and reports it', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    let calls = 0;
    const failing = guest.run(() => {
      calls += 1;
      throw new Error('no such device');
    }, GUEST_LIMIT_MS);

    await expect(failing).rejects.toThrow('no such device');
    expect(calls).toBe(1);
  });

  test('answers promises of its handler before the next events', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    const answered = Promise.withResolvers<string>();

    guest.vcpu.start({
      onExit: () => {
        Promise.resolve('soon').then(answered.resolve);
        return false;
      },
      onFailure: answered.reject,
    });

    await expect(answered.promise).resolves.toBe('soon');
  });

  test('can be disposed by its own handler', async () => {
    const guest = new GuestUnderTest({ mode: 'real', code: COUNT });
    const done = Promise.withResolvers<void>();

    guest.vcpu.start({
      onExit: () => {
        guest[Symbol.dispose]();
        done.resolve();
        return true;
      },
      onFailure: done.reject,
    });

    await expect(done.promise).resolves.toBeUndefined();
  });

  test('runs beside another one of the same VM', async () => {
    using guest = new GuestUnderTest({ mode: 'real', code: COUNT, vcpuCount: 2 });
    const [first, second] = guest.vcpus;
    const other = BARE_LAYOUT.code + 0x1000;
    guest.memory.bytes.set(
      machineCode(`
        b0 99 ; mov al, 0x99
        e6 81 ; out 0x81, al
        f4    ; hlt`),
      other,
    );
    guest.prepare(second ?? guest.vcpu, 'real', other);
    const values: number[] = [];

    await Promise.all([
      guest.run((exit) => exit.kind === 'pio-write' && (exit.data[0] ?? 0) < 10, GUEST_LIMIT_MS, first),
      guest.run(
        (exit) => {
          if (exit.kind === 'pio-write') values.push(exit.port, ...exit.data);
          return exit.kind === 'pio-write';
        },
        GUEST_LIMIT_MS,
        second,
      ),
    ]);

    expect(values).toEqual([0x81, 0x99]);
  });
});

describe.skipIf(!hasKvm())('a hand-over', () => {
  test.each([0, 10_000])(
    'with a spin of up to %i ns loses no exit, however often two vCPUs are kicked',
    async (maxSpinNs) => {
      using kvm = KvmHypervisor.open({ maxSpinNs });
      const code = machineCode(`
      fe c0    ; inc al
      e6 80    ; out 0x80, al
      24 0f    ; and al, 0x0f
      75 f8    ; jnz to inc: sixteen exits in quick succession,
      b9 00 01 ; mov cx, 256
      49       ; dec cx
      75 fd    ; jnz to dec: then a while without
      eb f0    ; jmp to inc`);
      using guest = new BareGuest(kvm, { mode: 'real', code, vcpuCount: 2 });
      const kicks = setInterval(() => {
        for (const vcpu of guest.vcpus) vcpu.kick();
      }, 1);

      const written = await Promise.all(
        guest.vcpus.map(async (vcpu) => {
          const values: number[] = [];
          await guest.run(
            (exit) => {
              if (exit.kind === 'pio-write') values.push(...exit.data);
              return values.length < 400;
            },
            GUEST_LIMIT_MS,
            vcpu,
          );
          return values;
        }),
      );
      clearInterval(kicks);

      const expected = Array.from({ length: 400 }, (_, index) => (index % 16) + 1);
      expect(written).toEqual([expected, expected]);
    },
  );
});

describe.skipIf(!hasKvm())('what is disposed', () => {
  test('leaves nothing behind, whatever the vCPUs of 200 VMs were doing', async () => {
    using kvm = KvmHypervisor.open();
    // The first of a kind loads libraries and starts Node's own helpers.
    await runAndDispose(kvm, 0);
    const before = holdings();

    for (let round = 0; round < 200; round++) await runAndDispose(kvm, round);

    expect(holdings()).toEqual(before);
  }, 300_000);

  test('takes the guest memory away from those who still hold it', () => {
    using kvm = KvmHypervisor.open();
    const memory = kvm.allocateMemory(4096, { shared: true, name: 'test' });
    const held = memory.bytes.subarray(16);

    memory[Symbol.dispose]();

    expect(held.length).toBe(0);
    expect(held[0]).toBeUndefined();
  });

  test('does not keep process.exit waiting for a spinning guest', async () => {
    const here = import.meta.dirname;
    const script = `
      import { BareGuest } from '${join(here, 'bare-guest.ts')}';
      import { KvmHypervisor } from '${join(here, 'hypervisor.ts')}';
      const code = Uint8Array.from(${JSON.stringify([...SPIN])});
      const guest = new BareGuest(KvmHypervisor.open(), { mode: 'real', code });
      guest.vcpu.start({ onExit: () => { setTimeout(() => process.exit(7), 20); return true; }, onFailure: () => {} });`;

    const ended = promisify(execFile)(process.execPath, ['--input-type=module-typescript', '--eval', script], {
      timeout: 110_000,
    });

    await expect(ended).rejects.toMatchObject({ code: 7 });
  }, 120_000);
});

/** One VM with shared memory and one vCPU, disposed while it has never run, spins, waits for an answer or is halted. */
async function runAndDispose(kvm: KvmHypervisor, round: number): Promise<void> {
  using _memory = kvm.allocateMemory(0x10_0000, { shared: true, name: `round ${round}` });
  const halt = machineCode('e6 80 f4 ; out 0x80, al; hlt');
  using guest = new BareGuest(kvm, {
    mode: 'real',
    code: round % 2 === 0 ? SPIN : halt,
    interruptControllers: round % 2 === 1,
  });
  const state = round % 3;
  if (state === 0) return;
  await new Promise<void>((resolve, reject) => {
    guest.vcpu.start({
      onExit: () => {
        resolve();
        return state === 1;
      },
      onFailure: reject,
    });
  });
}
