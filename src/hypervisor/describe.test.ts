import { expect, test } from 'vitest';
import { describeExit, describeRegisters } from './describe.ts';
import type { Registers, Segment, VmExit } from './ports.ts';

test.each<[exit: VmExit, text: string]>([
  [{ kind: 'pio-read', port: 0x3f8, size: 1, data: new Uint8Array(1) }, 'read of port 0x3f8, 1 bytes'],
  [{ kind: 'mmio-write', address: 0xd000_0000, data: new Uint8Array(4) }, 'write to address 0xd0000000, 4 bytes'],
  [
    { kind: 'fail-entry', hardwareReason: 0x8000_0021n, cpu: 3 },
    'the processor refused to enter the guest on CPU 3, hardware reason 0x80000021',
  ],
  [
    {
      kind: 'internal-error',
      suberror: 1,
      name: 'KVM_INTERNAL_ERROR_EMULATION',
      data: [1n],
      instructionBytes: Uint8Array.of(0x0f, 0x01, 0xca),
    },
    'KVM could not emulate the instruction 0f 01 ca (KVM_INTERNAL_ERROR_EMULATION)',
  ],
  [
    { kind: 'internal-error', suberror: 3, name: 'KVM_INTERNAL_ERROR_DELIVERY_EV', data: [14n, 31n] },
    'KVM_INTERNAL_ERROR_DELIVERY_EV, data 0xe 0x1f',
  ],
  [
    { kind: 'unsupported', reason: 4, name: 'KVM_EXIT_DEBUG' },
    'exit KVM_EXIT_DEBUG, which this program does not handle',
  ],
])('an exit as text: %#', (exit, text) => {
  expect(describeExit(exit)).toBe(text);
});

const UNUSABLE: Segment = {
  base: 0n,
  limit: 0,
  selector: 0,
  type: 0,
  present: 0,
  dpl: 0,
  db: 0,
  s: 0,
  l: 0,
  g: 0,
  avl: 0,
};
const GENERAL = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split(' ');

test('registers as text have all that a developer compares with a disassembly', () => {
  const zeros = Object.fromEntries(GENERAL.map((name) => [name, 0n])) as Registers;
  const code = { ...UNUSABLE, selector: 0x10, present: 1, l: 1, limit: 0xffff_ffff };
  const table = { base: 0x1000n, limit: 0x7f };
  const special = {
    ...{ cs: code, ds: UNUSABLE, es: UNUSABLE, fs: UNUSABLE, gs: UNUSABLE, ss: UNUSABLE, tr: UNUSABLE, ldt: UNUSABLE },
    ...{ gdt: table, idt: table, cr0: 0n, cr2: 0n, cr3: 0x9000n, cr4: 0n, cr8: 0n, efer: 0n, apicBase: 0n },
  };

  const lines = describeRegisters({ ...zeros, rip: 0xffff_ffff_8100_0000n, rax: 5n }, special).split('\n');

  expect(lines[0]).toBe('rip    ffffffff81000000  rsp    0000000000000000  rflags 0000000000000000');
  expect(lines[1]).toMatch(/^rax {4}0000000000000005 {2}rbx/);
  expect(lines).toContain('cr0 0x0  cr2 0x0  cr3 0x9000  cr4 0x0  cr8 0x0  efer 0x0');
  expect(lines).toContain('cs 0x10 base 0x0 limit 0xffffffff ring 0 64-bit');
  expect(lines).toContain('ss 0x0 (unusable)');
  expect(lines.at(-1)).toBe('gdt base 0x1000 limit 0x7f  idt base 0x1000 limit 0x7f');
});
