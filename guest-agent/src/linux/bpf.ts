// bpf(2): programs that the kernel runs for what the processes of a cgroup do.
import { addressOf } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import type { Instruction } from './bpf-instructions.ts';
import { call, structure } from './call.ts';

function encode(program: readonly Instruction[], view: DataView, start: number): void {
  for (const [index, instruction] of program.entries()) {
    const at = start + index * abi.SIZEOF_bpf_insn;
    view.setUint8(at, instruction.code);
    view.setUint8(at + 1, instruction.destination | (instruction.source << 4));
    view.setInt16(at + abi.OFFSETOF_bpf_insn_off, instruction.offset, true);
    // Numbers of devices are unsigned and the comparison is of 32 bits: their upper half is negative here.
    view.setInt32(at + abi.OFFSETOF_bpf_insn_imm, instruction.immediate | 0, true);
  }
}

/** Where in the kernel a program is run. */
export interface BpfHook {
  /** BPF_PROG_TYPE_* */
  readonly programType: number;
  /** BPF_CGROUP_*: its enum bpf_attach_type. */
  readonly attachType: number;
}

/** @returns the program's descriptor @throws SystemError */
export function loadProgram({ programType, attachType }: BpfHook, program: readonly Instruction[]): number {
  // All in one piece, so that the addresses are good as long as the call is: attributes, program, and an empty license.
  const licenseAt = abi.SIZEOF_bpf_attr + program.length * abi.SIZEOF_bpf_insn;
  const { bytes, view } = structure(licenseAt + 1);
  encode(program, view, abi.SIZEOF_bpf_attr);
  const address = addressOf(bytes);
  view.setUint32(abi.OFFSETOF_bpf_attr_prog_type, programType, true);
  view.setUint32(abi.OFFSETOF_bpf_attr_expected_attach_type, attachType, true);
  view.setUint32(abi.OFFSETOF_bpf_attr_insn_cnt, program.length, true);
  view.setBigUint64(abi.OFFSETOF_bpf_attr_insns, address + BigInt(abi.SIZEOF_bpf_attr), true);
  view.setBigUint64(abi.OFFSETOF_bpf_attr_license, address + BigInt(licenseAt), true);
  return bpf('BPF_PROG_LOAD', `${program.length} instructions`, abi.BPF_PROG_LOAD, bytes);
}

/**
 * Lets a program be run from now on for what happens in a cgroup and below. To take it away or to replace it takes the link's
 * descriptor, or CAP_SYS_ADMIN in the guest's own user namespace (bpf(2), BPF_LINK_GET_FD_BY_ID). It ends when that is closed, or with the cgroup.
 * @returns the link's descriptor
 */
export function linkProgram({ attachType }: BpfHook, program: number, cgroup: number): number {
  const { bytes, view } = structure(abi.SIZEOF_bpf_attr);
  view.setUint32(abi.OFFSETOF_bpf_attr_link_create_prog_fd, program, true);
  view.setUint32(abi.OFFSETOF_bpf_attr_link_create_target_fd, cgroup, true);
  view.setUint32(abi.OFFSETOF_bpf_attr_link_create_attach_type, attachType, true);
  return bpf('BPF_LINK_CREATE', `attach type ${attachType}`, abi.BPF_LINK_CREATE, bytes);
}

/** Exchanges the program of a link: at no moment there is none. */
export function replaceLinkedProgram(link: number, program: number): void {
  const { bytes, view } = structure(abi.SIZEOF_bpf_attr);
  view.setUint32(abi.OFFSETOF_bpf_attr_link_update_link_fd, link, true);
  view.setUint32(abi.OFFSETOF_bpf_attr_link_update_new_prog_fd, program, true);
  bpf('BPF_LINK_UPDATE', '', abi.BPF_LINK_UPDATE, bytes);
}

function bpf(name: string, subject: string, command: number, attributes: Uint8Array): number {
  return call(`bpf ${name}`, subject, abi.SYS_bpf, command, attributes, abi.SIZEOF_bpf_attr);
}
