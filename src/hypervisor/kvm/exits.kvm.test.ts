import { describe, expect, test } from 'vitest';
import { EventFd } from '../../ffi/eventfd.unsafe.ts';
import { guestAddress } from '../../lib/brand.ts';
import { GUEST_LIMIT_MS, GuestUnderTest, hasKvm } from '../testing/kvm.ts';
import { BARE_LAYOUT } from './bare-guest.ts';
import { machineCode } from './machine-code.ts';

const DEVICE = BARE_LAYOUT.device;

function bytesOf(text: string): number[] {
  return [...Buffer.from(text)];
}

describe.skipIf(!hasKvm())('port I/O', () => {
  test('writes of all sizes arrive with their data', async () => {
    const code = machineCode(`
      b0 11             ; mov al, 0x11
      e6 80             ; out 0x80, al
      b8 22 11          ; mov ax, 0x1122
      e7 81             ; out 0x81, ax
      66 b8 44 33 22 11 ; mov eax, 0x11223344
      66 e7 82          ; out 0x82, eax
      f4                ; hlt`);
    using guest = new GuestUnderTest({ mode: 'real', code });

    const exits = await guest.exitsUntilEnd();

    expect(exits).toEqual([
      { kind: 'pio-write', port: 0x80, size: 1, data: Uint8Array.of(0x11) },
      { kind: 'pio-write', port: 0x81, size: 2, data: Uint8Array.of(0x22, 0x11) },
      { kind: 'pio-write', port: 0x82, size: 4, data: Uint8Array.of(0x44, 0x33, 0x22, 0x11) },
      { kind: 'hlt' },
    ]);
    expect(guest.vcpu.exitCounts).toEqual(
      new Map([
        ['KVM_EXIT_IO', 3],
        ['KVM_EXIT_HLT', 1],
      ]),
    );
  });

  test('what is filled into reads of all sizes is what the guest gets', async () => {
    const code = machineCode(`
      e4 80       ; in al, 0x80
      a2 00 06    ; mov [0x600], al
      e5 80       ; in ax, 0x80
      a3 01 06    ; mov [0x601], ax
      66 e5 80    ; in eax, 0x80
      66 a3 03 06 ; mov [0x603], eax
      f4          ; hlt`);
    using guest = new GuestUnderTest({ mode: 'real', code });
    const supply = [1, 2, 3, 4, 5, 6, 7];

    const exits = await guest.exitsUntilEnd((exit) => {
      if (exit.kind === 'pio-read') exit.data.set(supply.splice(0, exit.size));
    });

    expect(exits.map((exit) => ('size' in exit ? exit.size : exit.kind))).toEqual([1, 2, 4, 'hlt']);
    expect(guest.memory.bytes.slice(0x600, 0x607)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
  });

  test('string output arrives whole', async () => {
    const code = machineCode(`
      be 00 06 ; mov si, 0x600
      b9 05 00 ; mov cx, 5
      ba f8 03 ; mov dx, 0x3f8
      fc       ; cld
      f3 6e    ; rep outsb
      f4       ; hlt`);
    using guest = new GuestUnderTest({ mode: 'real', code });
    guest.memory.bytes.set(bytesOf('hello'), 0x600);

    const exits = await guest.exitsUntilEnd();

    const written = exits.flatMap((exit) => (exit.kind === 'pio-write' ? [...exit.data] : []));
    expect(written).toEqual(bytesOf('hello'));
    expect(exits.at(-1)).toEqual({ kind: 'hlt' });
  });
});

describe.skipIf(!hasKvm())('memory-mapped I/O in long mode', () => {
  test('reads and writes arrive with address and width', async () => {
    const code = machineCode(`
      bb 00 00 00 d0       ; mov ebx, 0xd0000000
      c7 03 44 33 22 11    ; mov dword [rbx], 0x11223344
      8b 43 04             ; mov eax, [rbx + 4]
      89 04 25 00 00 02 00 ; mov [0x20000], eax
      c6 43 08 55          ; mov byte [rbx + 8], 0x55
      48 89 43 10          ; mov [rbx + 16], rax
      f4                   ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });

    const exits = await guest.exitsUntilEnd((exit) => {
      if (exit.kind === 'mmio-read') exit.data.set([0xa, 0xb, 0xc, 0xd]);
    });

    expect(exits).toEqual([
      { kind: 'mmio-write', address: DEVICE, data: Uint8Array.of(0x44, 0x33, 0x22, 0x11) },
      { kind: 'mmio-read', address: DEVICE + 4, data: Uint8Array.of(0xa, 0xb, 0xc, 0xd) },
      { kind: 'mmio-write', address: DEVICE + 8, data: Uint8Array.of(0x55) },
      { kind: 'mmio-write', address: DEVICE + 16, data: Uint8Array.of(0xa, 0xb, 0xc, 0xd, 0, 0, 0, 0) },
      { kind: 'hlt' },
    ]);
    expect(guest.memory.bytes.slice(BARE_LAYOUT.data, BARE_LAYOUT.data + 4)).toEqual(Uint8Array.of(0xa, 0xb, 0xc, 0xd));
  });

  test('reads of a read-only slot do not exit, writes do and change nothing', async () => {
    const code = machineCode(`
      bb 00 00 00 d0    ; mov ebx, 0xd0000000
      8b 43 08          ; mov eax, [rbx + 8]
      89 03             ; mov [rbx], eax
      f4                ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });
    using kvm = openPage(guest);
    kvm.page.set([1, 2, 3, 4], 8);

    const exits = await guest.exitsUntilEnd();

    expect(exits).toEqual([{ kind: 'mmio-write', address: DEVICE, data: Uint8Array.of(1, 2, 3, 4) }, { kind: 'hlt' }]);
    expect(kvm.page.slice(0, 4)).toEqual(new Uint8Array(4));
  });

  test('collected writes arrive in order, before the exit that follows them, and cost none', async () => {
    const code = machineCode(`
      bb 00 00 00 d0    ; mov ebx, 0xd0000000
      b8 01 00 00 00    ; mov eax, 1
      89 03             ; mov [rbx], eax
      ff c0             ; inc eax
      89 43 04          ; mov [rbx + 4], eax
      ff c0             ; inc eax
      89 03             ; mov [rbx], eax
      e6 80             ; out 0x80, al
      f4                ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });
    guest.vm.coalesceMmio(DEVICE, 0x100);

    const exits = await guest.exitsUntilEnd();

    expect(exits).toEqual([
      { kind: 'mmio-write', address: DEVICE, data: Uint8Array.of(1, 0, 0, 0) },
      { kind: 'mmio-write', address: DEVICE + 4, data: Uint8Array.of(2, 0, 0, 0) },
      { kind: 'mmio-write', address: DEVICE, data: Uint8Array.of(3, 0, 0, 0) },
      { kind: 'pio-write', port: 0x80, size: 1, data: Uint8Array.of(3) },
      { kind: 'hlt' },
    ]);
    expect(guest.vcpu.exitCounts.has('KVM_EXIT_MMIO')).toBe(false);
  });

  test('a doorbell takes only the value it waits for, without an exit', async () => {
    const code = machineCode(`
      bb 50 00 00 d0    ; mov ebx, 0xd0000050
      31 c0             ; xor eax, eax
      89 03             ; mov [rbx], eax
      ff c0             ; inc eax
      89 03             ; mov [rbx], eax
      ff c0             ; inc eax
      89 03             ; mov [rbx], eax
      f4                ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });
    using bell = new EventFd();
    guest.vm.connectIoEventFd(bell.fd, { space: 'mmio', address: DEVICE + 0x50, length: 4, match: 1n });

    const exits = await guest.exitsUntilEnd();

    expect(exits.map((exit) => (exit.kind === 'mmio-write' ? exit.data[0] : exit.kind))).toEqual([0, 2, 'hlt']);
    expect(bell.drain()).toBe(1);
  });

  test('a doorbell that was disconnected exits again', async () => {
    const code = machineCode(`
      bb 50 00 00 d0    ; mov ebx, 0xd0000050
      89 03             ; mov [rbx], eax
      f4                ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });
    using bell = new EventFd();
    const where = { space: 'mmio', address: DEVICE + 0x50, length: 4 } as const;
    guest.vm.connectIoEventFd(bell.fd, where);
    guest.vm.disconnectIoEventFd(bell.fd, where);

    const exits = await guest.exitsUntilEnd();

    expect(exits.map(({ kind }) => kind)).toEqual(['mmio-write', 'hlt']);
    expect(bell.drain()).toBe(0);
  });
});

describe.skipIf(!hasKvm())('ends and interrupts', () => {
  test('an exception that nobody handles is a triple fault: shutdown', async () => {
    const code = machineCode('0f 0b ; ud2');
    using guest = new GuestUnderTest({ mode: 'long', code });

    const exits = await guest.exitsUntilEnd();

    expect(exits).toEqual([{ kind: 'shutdown' }]);
  });

  test('a signal of an irqfd wakes a halted guest and runs its handler', async () => {
    const code = machineCode(`
      b0 11 ; mov al, 0x11: ICW1 of the PIC, with ICW4
      e6 20 ; out 0x20, al
      b0 20 ; mov al, 0x20: ICW2, IRQ 0 is vector 0x20
      e6 21 ; out 0x21, al
      b0 04 ; mov al, 0x04: ICW3, the second PIC is at IRQ 2
      e6 21 ; out 0x21, al
      b0 01 ; mov al, 0x01: ICW4, 8086 mode
      e6 21 ; out 0x21, al
      b0 ef ; mov al, 0xef: all but IRQ 4 are masked
      e6 21 ; out 0x21, al
      e6 80 ; out 0x80, al: ready
      fb    ; sti
      f4    ; hlt
      eb fd ; jmp to hlt`);
    const handler = machineCode(`
      b0 77 ; mov al, 0x77
      e6 80 ; out 0x80, al
      f4    ; hlt`);
    using guest = new GuestUnderTest({ mode: 'real', code, interruptControllers: true });
    guest.memory.bytes.set(handler, BARE_LAYOUT.code + 0x100);
    // Vector 0x24 of the real-mode table: offset 0x100 in the code's segment.
    new DataView(guest.memory.bytes.buffer).setUint32(0x24 * 4, ((BARE_LAYOUT.code >>> 4) << 16) | 0x100, true);
    using line = new EventFd();
    guest.vm.connectIrqFd(line.fd, 4);
    const written: number[] = [];

    await guest.run((exit) => {
      if (exit.kind === 'pio-write') written.push(...exit.data);
      if (written.length === 1) setTimeout(() => line.signal(), 10);
      return exit.kind === 'pio-write' && written.length < 2;
    }, GUEST_LIMIT_MS);

    expect(written).toEqual([0xef, 0x77]);
  });
});

/** Maps one page read-only into the guest at DEVICE. */
function openPage(guest: GuestUnderTest): Disposable & { readonly page: Uint8Array } {
  const memory = guest.allocate(4096);
  guest.vm.setMemorySlot(1, guestAddress(DEVICE), memory, { readOnly: true });
  return { page: memory.bytes, [Symbol.dispose]: () => memory[Symbol.dispose]() };
}
