// Captures netlink-goldens.json: what iproute2 sends to the kernel, and what the kernel answers. As root, with ip, tc and strace:
// node src/netlink/testing/capture-netlink.ts
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as abi from '../abi.gen.ts';
import { decodeMessages } from '../message.ts';

const PREPARE = `ip link set lo up
ip link add first index 10 address 02:00:5e:00:53:01 type veth peer name outside index 11
ip link set first up; ip link set outside up; until ip -6 route | grep -q fe80; do sleep 0.1; done`;

/** In this order: later ones need what earlier ones have made. */
const REQUESTS: Readonly<Record<string, string>> = {
  address4: 'ip address add 192.0.2.7/24 brd 192.0.2.255 dev first',
  address6: 'ip address add 2001:db8::7/64 dev first nodad',
  route: 'ip route add default via 192.0.2.1 dev first src 192.0.2.7 metric 50 mtu 1300 proto static',
  routeOnLink: 'ip route add 198.51.100.0/24 via 10.0.0.1 dev first onlink proto static',
  routeOfLink: 'ip route add 203.0.113.5/32 dev first proto static',
  route6: 'ip -6 route add 2001:db8:1::/48 via 2001:db8::1 dev first metric 7 proto static',
  neighbour: 'ip neighbour replace 192.0.2.1 lladdr 02:00:5e:00:53:02 dev first',
  mtu: 'ip link set first mtu 1400',
  noArp: 'ip link set first arp off',
  macAddress: 'ip link set first address 02:00:5e:00:53:09',
  ingress: 'tc qdisc add dev first ingress',
  noIngress: 'tc qdisc del dev first ingress',
  // Captured also where the kernel has no such classifier.
  redirect:
    'sh -c "tc filter add dev first ingress protocol all prio 4 matchall action mirred egress redirect dev outside || true"',
  answers:
    'sh -c "tc filter add dev first ingress protocol ip prio 2 u32 match u32 0x05000000 0x0f000000 at 0 match u32 0 0x1fff at 4 match u32 0x110000 0xff0000 at 8 match u32 0x35fc00 0xfffffc00 at 20 action mirred egress mirror dev outside ok || true"',
  name: 'ip link set first down name eth0',
};

/** What is asked for, and the type of the messages that tell it: iproute2 asks for names of interfaces as well. */
const DUMPS: Readonly<Record<string, readonly [command: string, type: number]>> = {
  links: ['ip link show', abi.RTM_NEWLINK],
  addresses: ['ip address show', abi.RTM_NEWADDR],
  routes: ['ip -4 route show table all', abi.RTM_NEWROUTE],
  routes6: ['ip -6 route show table all', abi.RTM_NEWROUTE],
  neighbours: ['ip neighbour show nud permanent', abi.RTM_NEWNEIGH],
};

const directory = dirname(fileURLToPath(import.meta.url));

/** The script that runs a command and has its netlink traffic, as text of strace, between two lines. */
function traced(name: string, command: string, call: string): string {
  return `echo "BEGIN ${name}" >&2; strace -f -xx -e trace=${call} -e write=all -e read=all -s 0 ${command} > /dev/null`;
}

/** The bytes of strace's dumps, one text of hexadecimal digits for each system call. */
function bytesOf(trace: string): string[] {
  const calls: string[] = [];
  for (const [, offset = '', digits = ''] of trace.matchAll(/^ \| ([0-9a-f]{5,}) {2}((?:[0-9a-f]{2} {1,2}){1,16})/gm)) {
    const hex = digits.replaceAll(' ', '');
    if (/^0+$/.test(offset)) calls.push(hex);
    else calls.push(`${calls.pop()}${hex}`);
  }
  return calls;
}

const script = [
  PREPARE,
  ...Object.entries(REQUESTS).flatMap(([name, command]) => [
    ...(name === 'mtu' ? Object.entries(DUMPS).map(([dump, [show]]) => traced(dump, show, 'recvmsg')) : []),
    traced(name, command, 'sendmsg'),
  ]),
].join('\n');
const { stderr, status } = spawnSync('unshare', ['--net', 'sh', '-e', '-c', script], { encoding: 'utf8' });
if (status !== 0) throw new Error(stderr);
const goldens: Record<string, string[]> = {};
for (const part of stderr.split('BEGIN ').slice(1)) {
  const name = part.slice(0, part.indexOf('\n'));
  const calls = bytesOf(part);
  const type = DUMPS[name]?.[1];
  const isOfType = (hex: string): boolean => decodeMessages(Uint8Array.from(Buffer.from(hex, 'hex')))[0]?.type === type;
  // A request comes last, after the questions that iproute2 asks before.
  goldens[name] = type === undefined ? calls.slice(-1) : calls.filter(isOfType);
}
writeFileSync(join(directory, 'netlink-goldens.json'), `${JSON.stringify(goldens, null, 2)}\n`);
