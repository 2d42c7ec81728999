// A socket that gets the connections to every port of 127.0.0.1 in a network namespace, whoever else listens there: a program of
// bpf(2) chooses it where the kernel looks for a listener (Linux 5.9, Documentation/bpf/prog_sk_lookup.rst).
import type { Fd } from '../lib/brand.ts';
import * as abi from './bpf-abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { bindInet, openInetSocket } from './inet-socket.unsafe.ts';
import { koffi, libcFunction } from './koffi.unsafe.ts';
import { inNetworkNamespace } from './network-namespace.unsafe.ts';

const listenCall = libcFunction<[number, number], number>('int listen(int fd, int backlog)');
const bpfCall = libcFunction<[number, number, Uint8Array, number], number>(
  'int64_t syscall(int64_t number, int command, void *attributes, uint size)',
);

const BACKLOG = 64;
const SUBJECT = 'the loopback of a network namespace';

/** Names of registers: arguments and results, those that calls leave alone, the stack. */
const [R0, R1, R2, R3, R6, R7, R10] = [0, 1, 2, 3, 6, 7, 10];
/** Where the key 0 of the map is, from the top of the stack. */
const KEY_ON_STACK = -4;

/** struct bpf_insn. */
interface Instruction {
  readonly code: number;
  readonly destination?: number;
  readonly source?: number;
  /** Of an address; how many instructions a jump leaves out. */
  readonly offset?: number;
  readonly immediate?: number;
}

const LOAD = abi.BPF_LDX | abi.BPF_MEM | abi.BPF_W;
const MOVE = abi.BPF_ALU64 | abi.BPF_MOV | abi.BPF_X;
const MOVE_NUMBER = abi.BPF_ALU64 | abi.BPF_MOV | abi.BPF_K;
const CALL = abi.BPF_JMP | abi.BPF_CALL;
const EXIT = abi.BPF_JMP | abi.BPF_EXIT;

/** Gives what is for TCP at 127.0.0.1 to the socket in the map, and leaves all else to the kernel. */
function chooser(map: Fd): Instruction[] {
  const assign: Instruction[] = [
    { code: abi.BPF_ST | abi.BPF_MEM | abi.BPF_W, destination: R10, offset: KEY_ON_STACK, immediate: 0 },
    { code: MOVE, destination: R6, source: R1 },
    { code: MOVE, destination: R2, source: R10 },
    { code: abi.BPF_ALU64 | abi.BPF_ADD | abi.BPF_K, destination: R2, immediate: KEY_ON_STACK },
    // The descriptor of a map takes two instructions.
    { code: abi.BPF_LD | abi.BPF_DW | abi.BPF_IMM, destination: R1, source: abi.BPF_PSEUDO_MAP_FD, immediate: map },
    { code: 0 },
    { code: CALL, immediate: abi.BPF_FUNC_map_lookup_elem },
    { code: abi.BPF_JMP | abi.BPF_JEQ | abi.BPF_K, destination: R0, immediate: 0, offset: 7 },
    { code: MOVE, destination: R7, source: R0 },
    { code: MOVE, destination: R1, source: R6 },
    { code: MOVE, destination: R2, source: R0 },
    { code: MOVE_NUMBER, destination: R3, immediate: 0 },
    { code: CALL, immediate: abi.BPF_FUNC_sk_assign },
    // Or else: the reference to the socket is ours to give back.
    { code: MOVE, destination: R1, source: R7 },
    { code: CALL, immediate: abi.BPF_FUNC_sk_release },
  ];
  const conditions = [
    { offset: abi.bpf_sk_lookup.family, value: abi.AF_INET },
    { offset: abi.bpf_sk_lookup.protocol, value: abi.IPPROTO_TCP },
    { offset: abi.bpf_sk_lookup.local_ip4, value: abi.LOOPBACK_IN_NETWORK_ORDER },
  ];
  const checks = conditions.flatMap(({ offset, value }, index) => [
    { code: LOAD, destination: R2, source: R1, offset },
    {
      code: abi.BPF_JMP | abi.BPF_JNE | abi.BPF_K,
      destination: R2,
      immediate: value,
      offset: assign.length + 2 * (conditions.length - 1 - index),
    },
  ]);
  return [...checks, ...assign, { code: MOVE_NUMBER, destination: R0, immediate: abi.SK_PASS }, { code: EXIT }];
}

function encode(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(program.length * abi.bpf_insn.sizeof);
  const view = new DataView(bytes.buffer);
  for (const [index, { code, destination = 0, source = 0, offset = 0, immediate = 0 }] of program.entries()) {
    const at = index * abi.bpf_insn.sizeof;
    view.setUint8(at + abi.bpf_insn.code, code);
    // Two registers in the byte behind the code.
    view.setUint8(at + abi.bpf_insn.code + 1, destination | (source << 4));
    view.setInt16(at + abi.bpf_insn.off, offset, true);
    view.setInt32(at + abi.bpf_insn.imm, immediate, true);
  }
  return bytes;
}

/** A command of bpf(2). @param attributes numbers and addresses of bytes, by their offset. @throws SystemError */
function bpf(
  name: string,
  command: number,
  attributes: readonly (readonly [offset: number, value: number | Uint8Array])[],
): number {
  const bytes = new Uint8Array(new ArrayBuffer(abi.SIZEOF_bpf_attr));
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of attributes) {
    if (typeof value === 'number') view.setUint32(offset, value, true);
    else view.setBigUint64(offset, BigInt(koffi().address(value)), true);
  }
  return check(bpfCall(abi.SYS_bpf, command, bytes, bytes.length), `bpf(${name})`, SUBJECT);
}

function putIntoMap(map: Fd, listener: Fd): void {
  const key = new Uint8Array(new ArrayBuffer(4));
  const value = new Uint8Array(BigUint64Array.of(BigInt(listener)).buffer);
  bpf('BPF_MAP_UPDATE_ELEM', abi.BPF_MAP_UPDATE_ELEM, [
    [abi.OFFSETOF_bpf_attr_map_fd, map],
    [abi.OFFSETOF_bpf_attr_key, key],
    [abi.OFFSETOF_bpf_attr_value, value],
  ]);
}

function load(program: readonly Instruction[]): OwnedFd {
  const fd = bpf('BPF_PROG_LOAD', abi.BPF_PROG_LOAD, [
    [abi.OFFSETOF_bpf_attr_prog_type, abi.BPF_PROG_TYPE_SK_LOOKUP],
    [abi.OFFSETOF_bpf_attr_expected_attach_type, abi.BPF_SK_LOOKUP],
    [abi.OFFSETOF_bpf_attr_insn_cnt, program.length],
    [abi.OFFSETOF_bpf_attr_insns, encode(program)],
    [abi.OFFSETOF_bpf_attr_license, new Uint8Array(new ArrayBuffer(1))],
  ]);
  return new OwnedFd(fd);
}

function openListener(namespace: Fd): OwnedFd {
  const owned = inNetworkNamespace(namespace, () => openInetSocket('tcp'));
  using resources = new DisposableStack();
  resources.use(owned);
  bindInet(owned.fd, abi.LOOPBACK_IN_NETWORK_ORDER);
  check(listenCall(owned.fd, BACKLOG), 'listen', SUBJECT);
  resources.move();
  return owned;
}

export interface LoopbackListener {
  /** The socket. What it accepts has as its own port the one that was asked for. */
  readonly listener: OwnedFd;
  /** As long as this is open, the listener gets the connections. */
  readonly link: OwnedFd;
}

/** @param namespace of the network. @throws SystemError EPERM, ENOSYS or EINVAL where the kernel has none of it */
export function listenOnLoopback(namespace: Fd): LoopbackListener {
  using resources = new DisposableStack();
  const listener = resources.use(openListener(namespace));
  using map = new OwnedFd(
    bpf('BPF_MAP_CREATE', abi.BPF_MAP_CREATE, [
      [abi.OFFSETOF_bpf_attr_map_type, abi.BPF_MAP_TYPE_SOCKMAP],
      [abi.OFFSETOF_bpf_attr_key_size, 4],
      [abi.OFFSETOF_bpf_attr_value_size, 8],
      [abi.OFFSETOF_bpf_attr_max_entries, 1],
    ]),
  );
  putIntoMap(map.fd, listener.fd);
  using program = load(chooser(map.fd));
  const link = new OwnedFd(
    bpf('BPF_LINK_CREATE', abi.BPF_LINK_CREATE, [
      [abi.OFFSETOF_bpf_attr_link_create_prog_fd, program.fd],
      [abi.OFFSETOF_bpf_attr_link_create_target_fd, namespace],
      [abi.OFFSETOF_bpf_attr_link_create_attach_type, abi.BPF_SK_LOOKUP],
    ]),
  );
  resources.move();
  return { listener, link };
}
