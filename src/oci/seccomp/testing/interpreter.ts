// Runs a filter as the kernel would (Documentation/networking/filter.rst), for tests.
import * as abi from '../abi.gen.ts';

/** What a filter sees of a system call: struct seccomp_data. */
export interface Call {
  /** AUDIT_ARCH_* */
  readonly arch: number;
  readonly nr: number;
  readonly args?: readonly bigint[];
}

export interface Verdict {
  /** SECCOMP_RET_*, with its data. */
  readonly value: number;
  /** Instructions that ran. */
  readonly steps: number;
}

function encode({ arch, nr, args = [] }: Call): DataView {
  const view = new DataView(new ArrayBuffer(abi.seccomp_data.sizeof));
  view.setUint32(abi.seccomp_data.nr, nr, true);
  view.setUint32(abi.seccomp_data.arch, arch, true);
  for (const [index, value] of args.entries()) view.setBigUint64(abi.seccomp_data.args + 8 * index, value, true);
  return view;
}

const LOAD = abi.BPF_LD | abi.BPF_W | abi.BPF_ABS;
const AND = abi.BPF_ALU | abi.BPF_AND | abi.BPF_K;

/** @throws Error for what the kernel would refuse: a jump out of the program, an unknown instruction, an odd load */
export function runFilter(program: Uint8Array, call: Call): Verdict {
  const data = encode(call);
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const { sizeof, code: codeAt, jt, jf, k } = abi.sock_filter;
  let accumulator = 0;
  let counter = 0;
  for (let steps = 1; ; steps++) {
    const at = counter * sizeof;
    const operand = code.getUint32(at + k, true);
    const instruction = code.getUint16(at + codeAt, true);
    counter += 1;
    const branch = (holds: boolean): void => {
      counter += code.getUint8(at + (holds ? jt : jf));
    };
    switch (instruction) {
      case LOAD:
        if (operand % 4 !== 0) throw new Error(`instruction ${counter - 1} loads from ${operand}`);
        accumulator = data.getUint32(operand, true);
        break;
      case AND:
        accumulator = (accumulator & operand) >>> 0;
        break;
      case abi.BPF_JMP | abi.BPF_JA:
        counter += operand;
        break;
      case abi.BPF_JMP | abi.BPF_JEQ | abi.BPF_K:
        branch(accumulator === operand);
        break;
      case abi.BPF_JMP | abi.BPF_JGT | abi.BPF_K:
        branch(accumulator > operand);
        break;
      case abi.BPF_JMP | abi.BPF_JGE | abi.BPF_K:
        branch(accumulator >= operand);
        break;
      case abi.BPF_JMP | abi.BPF_JSET | abi.BPF_K: // libseccomp and runc use it
        branch((accumulator & operand) !== 0);
        break;
      case abi.BPF_RET | abi.BPF_K:
        return { value: operand, steps };
      default:
        throw new Error(`instruction ${counter - 1} has the unknown code ${instruction}`);
    }
  }
}
