// For tests: runs the programs of device-filter.ts as the kernel does, and refuses what its verifier refuses.
import * as abi from '../../linux/abi.gen.ts';
import type { Instruction } from '../../linux/bpf-instructions.ts';

/** What a process asks for: one device, and a mask of BPF_DEVCG_ACC_*. */
export interface DeviceAccess {
  readonly type: number;
  readonly major: number;
  readonly minor: number;
  readonly access: number;
}

const MAX_REGISTERS = 11;

/** @returns whether the program allows it @throws Error for a program that no kernel would load */
export function interpret(program: readonly Instruction[], { type, major, minor, access }: DeviceAccess): boolean {
  const context = new Map([
    [abi.OFFSETOF_bpf_cgroup_dev_ctx_access_type, ((access << 16) | type) >>> 0],
    [abi.OFFSETOF_bpf_cgroup_dev_ctx_major, major],
    [abi.OFFSETOF_bpf_cgroup_dev_ctx_minor, minor],
  ]);
  const registers: (number | undefined)[] = new Array(MAX_REGISTERS).fill(undefined);
  const read = (register: number): number => {
    const value = registers[register];
    if (value === undefined) throw new Error(`register ${register} is read before it is written`);
    return value;
  };
  for (let at = 0; ; at++) {
    const instruction = program[at];
    if (instruction === undefined) throw new Error(`the program runs past its end at ${at}`);
    const { code, destination, offset, immediate } = instruction;
    if (offset < 0) throw new Error('the program goes back');
    switch (code) {
      case abi.BPF_LDX | abi.BPF_MEM | abi.BPF_W: {
        const value = context.get(offset);
        if (value === undefined) throw new Error(`the context has nothing at ${offset}`);
        registers[destination] = value;
        break;
      }
      case abi.BPF_ALU | abi.BPF_MOV | abi.BPF_K:
        registers[destination] = immediate >>> 0;
        break;
      case abi.BPF_ALU | abi.BPF_AND | abi.BPF_K:
        registers[destination] = (read(destination) & immediate) >>> 0;
        break;
      case abi.BPF_ALU | abi.BPF_RSH | abi.BPF_K:
        registers[destination] = read(destination) >>> immediate;
        break;
      case abi.BPF_JMP32 | abi.BPF_JNE | abi.BPF_K:
        if (read(destination) !== immediate >>> 0) at += offset;
        break;
      case abi.BPF_JMP32 | abi.BPF_JSET | abi.BPF_K:
        if ((read(destination) & immediate) !== 0) at += offset;
        break;
      case abi.BPF_JMP | abi.BPF_JA:
        at += offset;
        break;
      case abi.BPF_JMP | abi.BPF_EXIT:
        return read(0) !== 0;
      default:
        throw new Error(`instruction ${at} is unknown: ${code}`);
    }
  }
}
