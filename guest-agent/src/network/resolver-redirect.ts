// Leads those who ask the resolver at its address and port 53 to the agent's own sockets at the same address, which have other
// ports: so a container may serve port 53 itself, at all of its addresses. What Docker does with rules of netfilter, programs do
// at connect(2), sendto(2) and their opposites: nobody in a container can flush them, and the kernel needs no netfilter.
import { messageOf } from '../../../src/lib/errors.ts';
import { parseIp } from '../../../src/netlink/ip.ts';
import { DNS_PORT, RESOLVER_ADDRESS } from '../../../src/protocol/dns-message.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { CGROUP_PARENT } from '../boot/cgroups.ts';
import * as abi from '../linux/abi.gen.ts';
import { linkProgram, loadProgram } from '../linux/bpf.ts';
import { alu, CONTEXT, EXIT, type Instruction, instruction, jump, load, RESULT } from '../linux/bpf-instructions.ts';
import { close, open, withFd } from '../linux/file.ts';

/** The agent's sockets at `RESOLVER_ADDRESS`. */
export interface ResolverPorts {
  readonly udp: number;
  readonly tcp: number;
  /** Of their network namespace: a process in another one means somebody else by this address. */
  readonly namespaceCookie: bigint;
}

/** Registers beside those of every program. Functions change the first five. */
const VALUE = 2;
const PORT = 3;
const KEPT_CONTEXT = 6;
/** The word of an IPv4 address that stands in an IPv6 one, ::ffff:a.b.c.d, in front of its last (RFC 4291, 2.5.5.2). */
const MAPPED = 0xffff;

/** As a program loads it that takes the bytes of the network for a little-endian word. */
const wordOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
const swapped = (short: number): number => ((short & 0xff) << 8) | (short >> 8);

const ADDRESS = wordOf(parseIp(RESOLVER_ADDRESS) ?? new Uint8Array(4));

/** Words of struct bpf_sock_addr, by their offsets, that say that it is the resolver's address. */
type Words = readonly (readonly [offset: number, value: number])[];
const INET4: Words = [[abi.OFFSETOF_bpf_sock_addr_user_ip4, ADDRESS]];
const INET6: Words = [0, 0, swapped(MAPPED) << 16, ADDRESS].map((value, index) => [
  abi.OFFSETOF_bpf_sock_addr_user_ip6 + 4 * index,
  value,
]);

interface Redirection {
  readonly attachType: number;
  readonly words: Words;
  /** Whether it leads to the agent, or lets its answers come from port 53. */
  readonly isToAgent: boolean;
}

/** UDP of IPv6 sockets to an address of IPv4 is sent by IPv4 (udpv6_sendmsg in net/ipv6/udp.c). */
const REDIRECTIONS: readonly Redirection[] = [
  { attachType: abi.BPF_CGROUP_INET4_CONNECT, words: INET4, isToAgent: true },
  { attachType: abi.BPF_CGROUP_INET6_CONNECT, words: INET6, isToAgent: true },
  { attachType: abi.BPF_CGROUP_UDP4_SENDMSG, words: INET4, isToAgent: true },
  { attachType: abi.BPF_CGROUP_UDP4_RECVMSG, words: INET4, isToAgent: false },
  { attachType: abi.BPF_CGROUP_UDP6_RECVMSG, words: INET6, isToAgent: false },
  { attachType: abi.BPF_CGROUP_INET4_GETPEERNAME, words: INET4, isToAgent: false },
  { attachType: abi.BPF_CGROUP_INET6_GETPEERNAME, words: INET6, isToAgent: false },
];

/** Exchanges the port where protocol and port are these. */
function exchange(socketType: number, from: number, to: number): Instruction[] {
  const store = abi.BPF_STX | abi.BPF_MEM | abi.BPF_W;
  return [
    load(VALUE, abi.OFFSETOF_bpf_sock_addr_type, KEPT_CONTEXT),
    jump(abi.BPF_JNE, VALUE, socketType, 4),
    load(PORT, abi.OFFSETOF_bpf_sock_addr_user_port, KEPT_CONTEXT),
    jump(abi.BPF_JNE, PORT, swapped(from), 2),
    alu(abi.BPF_MOV, PORT, swapped(to)),
    instruction(store, { destination: KEPT_CONTEXT, source: PORT, offset: abi.OFFSETOF_bpf_sock_addr_user_port }),
  ];
}

function compile({ words, isToAgent }: Redirection, { udp, tcp, namespaceCookie }: ResolverPorts): Instruction[] {
  const ports = (port: number): [from: number, to: number] => (isToAgent ? [DNS_PORT, port] : [port, DNS_PORT]);
  const exchanges = [...exchange(abi.SOCK_DGRAM, ...ports(udp)), ...exchange(abi.SOCK_STREAM, ...ports(tcp))];
  // An instruction of two: the second has the upper half of the number.
  const [low, high] = [BigInt.asIntN(32, namespaceCookie), BigInt.asIntN(32, namespaceCookie >> 32n)].map(Number);
  const inNamespace = [
    instruction(abi.BPF_JMP | abi.BPF_CALL, { immediate: abi.BPF_FUNC_get_netns_cookie }),
    instruction(abi.BPF_LD | abi.BPF_IMM | abi.BPF_DW, { destination: VALUE, immediate: low ?? 0 }),
    instruction(0, { immediate: high ?? 0 }),
    instruction(abi.BPF_JMP | abi.BPF_JNE | abi.BPF_X, {
      destination: RESULT,
      source: VALUE,
      offset: exchanges.length,
    }),
  ];
  const matches = words.flatMap(([offset, value], index) => {
    const left = 2 * (words.length - index - 1) + inNamespace.length + exchanges.length;
    return [load(VALUE, offset), jump(abi.BPF_JNE, VALUE, value, left)];
  });
  return [
    instruction(abi.BPF_ALU64 | abi.BPF_MOV | abi.BPF_X, { destination: KEPT_CONTEXT, source: CONTEXT }),
    ...matches,
    ...inNamespace,
    ...exchanges,
    // All may go on, as it is by now.
    alu(abi.BPF_MOV, RESULT, 1),
    EXIT,
  ];
}

/** From now on, for the processes of all containers. @returns what ends it @throws StatusError */
export function redirectToResolver(ports: ResolverPorts): () => void {
  const links: number[] = [];
  const end = (): void => {
    for (const link of links.splice(0)) close(link);
  };
  try {
    withFd(open(CGROUP_PARENT, abi.O_RDONLY | abi.O_DIRECTORY), (cgroup) => {
      for (const redirection of REDIRECTIONS) {
        const hook = { programType: abi.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, attachType: redirection.attachType };
        withFd(loadProgram(hook, compile(redirection, ports)), (program) => {
          links.push(linkProgram(hook, program, cgroup));
        });
      }
    });
    return end;
  } catch (cause) {
    end();
    const message = `containers cannot be led to the resolver at ${RESOLVER_ADDRESS}: ${messageOf(cause)}`;
    throw new StatusError('FAILED_PRECONDITION', message, {}, { cause });
  }
}
