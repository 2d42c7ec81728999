// Registers of a vCPU as KVM's structures: bytes in, plain data out, and back.
import type { CpuidEntry, Registers, Segment, SpecialRegisters } from '../ports.ts';
import {
  kvm_cpuid_entry2,
  kvm_cpuid2,
  kvm_dtable,
  kvm_msr_entry,
  kvm_msrs,
  kvm_regs,
  kvm_segment,
  kvm_sregs,
} from './abi.gen.ts';
import { structure } from './call.ts';

const REGISTER_NAMES = [
  'rax',
  'rbx',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'rsp',
  'rbp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rip',
  'rflags',
] as const satisfies readonly (keyof Registers)[];
const SEGMENT_NAMES = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const;
const SEGMENT_FLAGS = ['type', 'present', 'dpl', 'db', 's', 'l', 'g', 'avl'] as const;
const CONTROL_NAMES = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const;

/** An object with a value for each of the keys. */
function fill<Key extends string, Value>(keys: readonly Key[], value: (key: Key) => Value): Record<Key, Value> {
  return Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<Key, Value>;
}

/** Decodes struct kvm_regs. */
export function decodeRegisters(view: DataView): Registers {
  return fill(REGISTER_NAMES, (name) => view.getBigUint64(kvm_regs[name], true));
}

/** Encodes struct kvm_regs. */
export function encodeRegisters(registers: Registers): DataView {
  const view = structure(kvm_regs.sizeof);
  for (const name of REGISTER_NAMES) view.setBigUint64(kvm_regs[name], registers[name], true);
  return view;
}

function decodeSegment(view: DataView, at: number): Segment {
  return {
    base: view.getBigUint64(at + kvm_segment.base, true),
    limit: view.getUint32(at + kvm_segment.limit, true),
    selector: view.getUint16(at + kvm_segment.selector, true),
    ...fill(SEGMENT_FLAGS, (name) => view.getUint8(at + kvm_segment[name])),
  };
}

function encodeSegment(view: DataView, at: number, segment: Segment): void {
  view.setBigUint64(at + kvm_segment.base, segment.base, true);
  view.setUint32(at + kvm_segment.limit, segment.limit, true);
  view.setUint16(at + kvm_segment.selector, segment.selector, true);
  for (const name of SEGMENT_FLAGS) view.setUint8(at + kvm_segment[name], segment[name]);
  // A segment that is not present is unusable (Intel SDM 3C, 25.4.1 "Guest Register State").
  view.setUint8(at + kvm_segment.unusable, segment.present === 0 ? 1 : 0);
}

function decodeTable(view: DataView, at: number): SpecialRegisters['gdt'] {
  return { base: view.getBigUint64(at + kvm_dtable.base, true), limit: view.getUint16(at + kvm_dtable.limit, true) };
}

/** Decodes struct kvm_sregs. */
export function decodeSpecialRegisters(view: DataView): SpecialRegisters {
  return {
    ...fill(SEGMENT_NAMES, (name) => decodeSegment(view, kvm_sregs[name])),
    ...fill(['gdt', 'idt'], (name) => decodeTable(view, kvm_sregs[name])),
    ...fill(CONTROL_NAMES, (name) => view.getBigUint64(kvm_sregs[name], true)),
    apicBase: view.getBigUint64(kvm_sregs.apic_base, true),
  };
}

/** Encodes struct kvm_sregs; no interrupt is pending in it. */
export function encodeSpecialRegisters(registers: SpecialRegisters): DataView {
  const view = structure(kvm_sregs.sizeof);
  for (const name of SEGMENT_NAMES) encodeSegment(view, kvm_sregs[name], registers[name]);
  for (const name of ['gdt', 'idt'] as const) {
    view.setBigUint64(kvm_sregs[name] + kvm_dtable.base, registers[name].base, true);
    view.setUint16(kvm_sregs[name] + kvm_dtable.limit, registers[name].limit, true);
  }
  for (const name of CONTROL_NAMES) view.setBigUint64(kvm_sregs[name], registers[name], true);
  view.setBigUint64(kvm_sregs.apic_base, registers.apicBase, true);
  return view;
}

const CPUID_FIELDS = ['function', 'index', 'flags', 'eax', 'ebx', 'ecx', 'edx'] as const;

/** An empty struct kvm_cpuid2 with room for so many entries. */
export function cpuidRoom(entries: number): DataView {
  const view = structure(kvm_cpuid2.entries + entries * kvm_cpuid_entry2.sizeof);
  view.setUint32(kvm_cpuid2.nent, entries, true);
  return view;
}

/** Decodes struct kvm_cpuid2. */
export function decodeCpuid(view: DataView): CpuidEntry[] {
  return Array.from({ length: view.getUint32(kvm_cpuid2.nent, true) }, (_, entry) => {
    const at = kvm_cpuid2.entries + entry * kvm_cpuid_entry2.sizeof;
    return fill(CPUID_FIELDS, (name) => view.getUint32(at + kvm_cpuid_entry2[name], true));
  });
}

/** Encodes struct kvm_cpuid2. */
export function encodeCpuid(entries: readonly CpuidEntry[]): DataView {
  const view = cpuidRoom(entries.length);
  for (const [index, entry] of entries.entries()) {
    const at = kvm_cpuid2.entries + index * kvm_cpuid_entry2.sizeof;
    for (const name of CPUID_FIELDS) view.setUint32(at + kvm_cpuid_entry2[name], entry[name], true);
  }
  return view;
}

/** A model-specific register. */
export interface Msr {
  readonly index: number;
  readonly value: bigint;
}

/** Decodes the first `count` entries of struct kvm_msrs. */
export function decodeMsrs(view: DataView, count = view.getUint32(kvm_msrs.nmsrs, true)): Msr[] {
  return Array.from({ length: count }, (_, entry) => {
    const at = kvm_msrs.entries + entry * kvm_msr_entry.sizeof;
    return {
      index: view.getUint32(at + kvm_msr_entry.index, true),
      value: view.getBigUint64(at + kvm_msr_entry.data, true),
    };
  });
}

/** Encodes struct kvm_msrs. */
export function encodeMsrs(entries: readonly Msr[]): DataView {
  const view = structure(kvm_msrs.entries + entries.length * kvm_msr_entry.sizeof);
  view.setUint32(kvm_msrs.nmsrs, entries.length, true);
  for (const [position, { index, value }] of entries.entries()) {
    const at = kvm_msrs.entries + position * kvm_msr_entry.sizeof;
    view.setUint32(at + kvm_msr_entry.index, index, true);
    view.setBigUint64(at + kvm_msr_entry.data, value, true);
  }
  return view;
}
