// Assembles a classic BPF program from its end to its beginning: jumps only go forward, so every target is there already.
import * as abi from './abi.gen.ts';

/** An instruction, counted from the program's end. */
export type Target = number;

interface Instruction {
  readonly code: number;
  /** Instructions to skip where a condition holds and where it does not; 8 bits each. */
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly operand: number;
}

const RETURN = abi.BPF_RET | abi.BPF_K;
const JUMP = abi.BPF_JMP | abi.BPF_JA;
const LOAD = abi.BPF_LD | abi.BPF_W | abi.BPF_ABS;
const AND = abi.BPF_ALU | abi.BPF_AND | abi.BPF_K;

/** What a conditional jump can skip, one less: making the other of its targets reachable takes one instruction. */
const REACH = 0xff;

const WORD_MASK = 0xffff_ffff;

export class ProgramBuilder {
  /** From the last instruction to the first. */
  readonly #code: Instruction[] = [];
  readonly #returns = new Map<number, Target>();
  /** The latest stand-in for a target that was too far away. */
  readonly #standIns = new Map<Target, Target>();

  get length(): number {
    return this.#code.length;
  }

  /** An instruction that ends the program with a value. */
  return(value: number): Target {
    const known = this.#returns.get(value);
    if (known !== undefined) return known;
    const target = this.#push({ code: RETURN, ifTrue: 0, ifFalse: 0, operand: value });
    this.#returns.set(value, target);
    return target;
  }

  /** Compares the accumulator: `comparison` is BPF_JEQ, BPF_JGT or BPF_JGE. */
  compare(comparison: number, operand: number, then: Target, otherwise: Target): Target {
    const targets = [this.#reachable(then), this.#reachable(otherwise)] as const;
    const [ifTrue, ifFalse] = [this.#distance(targets[0]), this.#distance(targets[1])];
    return this.#push({ code: abi.BPF_JMP | comparison | abi.BPF_K, ifTrue, ifFalse, operand });
  }

  /** Loads a word of struct seccomp_data into the accumulator, bits outside of the mask cleared, and goes on at a target. */
  load(offset: number, then: Target, mask = WORD_MASK): Target {
    if (then !== this.length - 1) this.#push(this.#jump(then));
    if (mask !== WORD_MASK) this.#push({ code: AND, ifTrue: 0, ifFalse: 0, operand: mask });
    return this.#push({ code: LOAD, ifTrue: 0, ifFalse: 0, operand: offset });
  }

  /** The program as an array of struct sock_filter. */
  encode(): Uint8Array {
    const { sizeof, code, jt, jf, k } = abi.sock_filter;
    const bytes = new Uint8Array(this.length * sizeof);
    const view = new DataView(bytes.buffer);
    for (const [index, instruction] of this.#code.toReversed().entries()) {
      const offset = index * sizeof;
      view.setUint16(offset + code, instruction.code, true);
      view.setUint8(offset + jt, instruction.ifTrue);
      view.setUint8(offset + jf, instruction.ifFalse);
      view.setUint32(offset + k, instruction.operand, true);
    }
    return bytes;
  }

  #push(instruction: Instruction): Target {
    return this.#code.push(instruction) - 1;
  }

  /** Instructions between the one that is pushed next and a target. */
  #distance(target: Target): number {
    return this.length - target - 1;
  }

  #jump(target: Target): Instruction {
    return { code: JUMP, ifTrue: 0, ifFalse: 0, operand: this.#distance(target) };
  }

  /** A target with the same effect that is near enough for a conditional jump. */
  #reachable(target: Target): Target {
    const nearest = this.#standIns.get(target) ?? target;
    if (this.#distance(nearest) < REACH) return nearest;
    const far = this.#code[target];
    const standIn = this.#push(far?.code === RETURN ? far : this.#jump(target));
    this.#standIns.set(target, standIn);
    return standIn;
  }
}
