// Instructions of BPF programs (Linux, Documentation/bpf/standardization/instruction-set.rst). Pure.
import * as abi from './abi.gen.ts';

/** struct bpf_insn. */
export interface Instruction {
  readonly code: number;
  /** Registers. */
  readonly destination: number;
  readonly source: number;
  /** Of an address, or how many instructions a jump leaves out. */
  readonly offset: number;
  readonly immediate: number;
}

/** Register of a program's result, and of a function's. */
export const RESULT = 0;
/** Register in which a program gets the address of what it is asked about, and a function its first argument. */
export const CONTEXT = 1;

export function instruction(code: number, rest: Partial<Instruction> = {}): Instruction {
  return { code, destination: 0, source: 0, offset: 0, immediate: 0, ...rest };
}

/** Loads 32 bits from an address. */
export function load(register: number, offset: number, base = CONTEXT): Instruction {
  return instruction(abi.BPF_LDX | abi.BPF_MEM | abi.BPF_W, { destination: register, source: base, offset });
}

/** An operation of 32 bits with a number. */
export function alu(operation: number, register: number, immediate: number): Instruction {
  return instruction(abi.BPF_ALU | operation | abi.BPF_K, { destination: register, immediate });
}

/** Leaves out the next `offset` instructions if the comparison, of 32 bits, holds. */
export function jump(comparison: number, register: number, immediate: number, offset: number): Instruction {
  return instruction(abi.BPF_JMP32 | comparison | abi.BPF_K, { destination: register, offset, immediate });
}

export const EXIT: Instruction = instruction(abi.BPF_JMP | abi.BPF_EXIT);
