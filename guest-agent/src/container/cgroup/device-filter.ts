// Rules for devices as a program that the kernel runs at each mknod(2) and open(2) of a device (BPF_PROG_TYPE_CGROUP_DEVICE).
import * as abi from '../../linux/abi.gen.ts';
import { alu, EXIT, type Instruction, jump, load, RESULT } from '../../linux/bpf-instructions.ts';
import { type DeviceRule, EVERY_ACCESS } from '../config/device-rules.ts';

/** struct bpf_cgroup_dev_ctx: `access_type` is access << 16 | type (include/uapi/linux/bpf.h). */
const ACCESS_SHIFT = 16;
const TYPE_MASK = (1 << ACCESS_SHIFT) - 1;

/** Registers. */
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;

const answer = (allow: boolean): Instruction[] => [alu(abi.BPF_MOV, RESULT, allow ? 1 : 0), EXIT];

/**
 * Compiles rules. Each kind of access that a program asks for is judged by the last rule that says something about it; what
 * no rule says anything about is denied. An access is allowed if all kinds in it are.
 */
export function compileDeviceRules(rules: readonly DeviceRule[]): Instruction[] {
  const program = [
    load(TYPE, abi.OFFSETOF_bpf_cgroup_dev_ctx_access_type),
    alu(abi.BPF_AND, TYPE, TYPE_MASK),
    load(ACCESS, abi.OFFSETOF_bpf_cgroup_dev_ctx_access_type),
    alu(abi.BPF_RSH, ACCESS, ACCESS_SHIFT),
    load(MAJOR, abi.OFFSETOF_bpf_cgroup_dev_ctx_major),
    load(MINOR, abi.OFFSETOF_bpf_cgroup_dev_ctx_minor),
  ];
  // From the last rule on; `ACCESS` keeps what is not decided yet.
  for (const rule of [...rules].reverse()) {
    // The kernel refuses a program with instructions that are never reached.
    if (rule.type === undefined) return [...program, ...answer(rule.allow)];
    program.push(...ruleBlock(rule, rule.type));
  }
  return [...program, ...answer(false)];
}

function ruleBlock(rule: DeviceRule, type: number): Instruction[] {
  const decision = rule.allow ? allowBlock(rule.access) : denyBlock(rule.access);
  const conditions = [
    [TYPE, type],
    [MAJOR, rule.major],
    [MINOR, rule.minor],
  ].filter((condition): condition is [number, number] => condition[1] !== undefined);
  return [
    ...conditions.map(([register, value], index) =>
      jump(abi.BPF_JNE, register, value, conditions.length - index - 1 + decision.length),
    ),
    ...decision,
  ];
}

function allowBlock(access: number): Instruction[] {
  const allowed = answer(true);
  if (access === EVERY_ACCESS) return allowed;
  return [alu(abi.BPF_AND, ACCESS, EVERY_ACCESS & ~access), jump(abi.BPF_JNE, ACCESS, 0, allowed.length), ...allowed];
}

function denyBlock(access: number): Instruction[] {
  const denied = answer(false);
  // There is no comparison for "none of these bits": this one leaves out the jump over the answer.
  return [
    jump(abi.BPF_JSET, ACCESS, access, 1),
    { ...EXIT, code: abi.BPF_JMP | abi.BPF_JA, offset: denied.length },
    ...denied,
  ];
}
