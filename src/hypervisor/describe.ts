// Exits and registers as text, for whoever has to find out why a guest stopped.
import type { Registers, Segment, SpecialRegisters, VmExit } from './ports.ts';

function hexadecimal(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** What an exit was about, as the end of a sentence that starts with "the guest stopped: ". */
export function describeExit(exit: VmExit): string {
  switch (exit.kind) {
    case 'pio-read':
    case 'pio-write':
      return `${exit.kind === 'pio-read' ? 'read of' : 'write to'} port ${hexadecimal(exit.port)}, ${exit.data.length} bytes`;
    case 'mmio-read':
    case 'mmio-write':
      return `${exit.kind === 'mmio-read' ? 'read of' : 'write to'} address ${hexadecimal(exit.address)}, ${exit.data.length} bytes`;
    case 'hlt':
      return 'HLT, with no interrupt controller that could wake it';
    case 'shutdown':
      return 'the guest ended in a triple fault';
    case 'system-event':
      return `system event ${exit.name}`;
    case 'fail-entry':
      return `the processor refused to enter the guest on CPU ${exit.cpu}, hardware reason ${hexadecimal(exit.hardwareReason)}`;
    case 'internal-error':
      return describeInternalError(exit);
    case 'interrupted':
      return 'interrupted from outside';
    case 'unsupported':
      return `exit ${exit.name}, which this program does not handle`;
  }
}

function describeInternalError(exit: Extract<VmExit, { kind: 'internal-error' }>): string {
  const { name, instructionBytes, data } = exit;
  if (instructionBytes !== undefined)
    return `KVM could not emulate the instruction ${hexBytes(instructionBytes)} (${name})`;
  const values = data.length === 0 ? '' : `, data ${data.map(hexadecimal).join(' ')}`;
  return `${name}${values}`;
}

const GENERAL_ROWS = [
  ['rip', 'rsp', 'rflags'],
  ['rax', 'rbx', 'rcx', 'rdx'],
  ['rsi', 'rdi', 'rbp', 'r8'],
  ['r9', 'r10', 'r11', 'r12'],
  ['r13', 'r14', 'r15'],
] as const satisfies readonly (readonly (keyof Registers)[])[];
const CONTROL_ROW = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const;
const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'tr', 'ldt'] as const;

function full(name: string, value: bigint): string {
  return `${name.padEnd(6)} ${value.toString(16).padStart(16, '0')}`;
}

function segment(name: string, { selector, base, limit, dpl, l, db, present }: Segment): string {
  if (present === 0) return `${name} ${hexadecimal(selector)} (unusable)`;
  const width = l === 1 ? 64 : db === 1 ? 32 : 16;
  return `${name} ${hexadecimal(selector)} base ${hexadecimal(base)} limit ${hexadecimal(limit)} ring ${dpl} ${width}-bit`;
}

/** The registers of a vCPU, several to a line. */
export function describeRegisters(registers: Registers, special: SpecialRegisters): string {
  return [
    ...GENERAL_ROWS.map((names) => names.map((name) => full(name, registers[name])).join('  ')),
    CONTROL_ROW.map((name) => `${name} ${hexadecimal(special[name])}`).join('  '),
    ...SEGMENTS.map((name) => segment(name, special[name])),
    (['gdt', 'idt'] as const)
      .map((name) => `${name} base ${hexadecimal(special[name].base)} limit ${hexadecimal(special[name].limit)}`)
      .join('  '),
  ].join('\n');
}
