import { array, bigInt, constantFrom, integer, property, assert as propertyAssert, record, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import type { Registers } from '../ports.ts';
import {
  decodeCpuid,
  decodeMsrs,
  decodeRegisters,
  decodeSpecialRegisters,
  encodeCpuid,
  encodeMsrs,
  encodeRegisters,
  encodeSpecialRegisters,
} from './registers.ts';

const u64 = bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u32 = integer({ min: 0, max: 2 ** 32 - 1 });
const u16 = integer({ min: 0, max: 2 ** 16 - 1 });
const bit = constantFrom(0, 1);

const segment = record({
  base: u64,
  limit: u32,
  selector: u16,
  type: integer({ min: 0, max: 15 }),
  present: bit,
  dpl: integer({ min: 0, max: 3 }),
  db: bit,
  s: bit,
  l: bit,
  g: bit,
  avl: bit,
});
const table = record({ base: u64, limit: u16 });
const specialRegisters = record({
  cs: segment,
  ds: segment,
  es: segment,
  fs: segment,
  gs: segment,
  ss: segment,
  tr: segment,
  ldt: segment,
  gdt: table,
  idt: table,
  cr0: u64,
  cr2: u64,
  cr3: u64,
  cr4: u64,
  cr8: u64,
  efer: u64,
  apicBase: u64,
});
const NAMES: readonly (keyof Registers)[] = [
  ...(['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp', 'r8', 'r9'] as const),
  ...(['r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'rflags'] as const),
];
const registers = tuple(...NAMES.map(() => u64)).map(
  (values) => Object.fromEntries(NAMES.map((name, index) => [name, values[index] ?? 0n])) as Registers,
);
const cpuidEntry = record({ function: u32, index: u32, flags: u32, eax: u32, ebx: u32, ecx: u32, edx: u32 });

test('general registers survive struct kvm_regs', () => {
  propertyAssert(
    property(registers, (value) => {
      expect(decodeRegisters(encodeRegisters(value))).toEqual(value);
    }),
  );
});

test('special registers survive struct kvm_sregs', () => {
  propertyAssert(
    property(specialRegisters, (value) => {
      expect(decodeSpecialRegisters(encodeSpecialRegisters(value))).toEqual(value);
    }),
  );
});

test('CPUID leaves survive struct kvm_cpuid2', () => {
  propertyAssert(
    property(array(cpuidEntry), (value) => {
      expect(decodeCpuid(encodeCpuid(value))).toEqual(value);
    }),
  );
});

test('model-specific registers survive struct kvm_msrs, whole or from the first on', () => {
  propertyAssert(
    property(array(record({ index: u32, value: u64 })), integer({ min: 0, max: 9 }), (value, count) => {
      expect(decodeMsrs(encodeMsrs(value))).toEqual(value);
      expect(decodeMsrs(encodeMsrs(value), Math.min(count, value.length))).toEqual(value.slice(0, count));
    }),
  );
});
