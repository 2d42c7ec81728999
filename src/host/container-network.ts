// The network of a container: what engines have made of interfaces, addresses and routes in a network namespace of the host, for
// a VM. Each interface is joined with a tap of the VM at the level of traffic control (tc-mirred(8)): every frame that comes in
// at one goes out at the other, and the host's own network there sees none of them. The guest takes over the rest: the MAC
// address, the IP addresses, the routes.
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import type { OwnedFd } from '../ffi/fd.unsafe.ts';
import { openInetSocket } from '../ffi/inet-socket.unsafe.ts';
import { NetlinkMonitor, NetlinkSocket } from '../ffi/netlink.unsafe.ts';
import { inNetworkNamespace, openNetworkNamespace } from '../ffi/network-namespace.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { ARPHRD_ETHER, IFF_LOOPBACK, IFF_UP, NUD_PERMANENT } from '../netlink/abi.gen.ts';
import { describeNetwork } from '../netlink/describe.ts';
import { parseIp } from '../netlink/ip.ts';
import type { Link } from '../netlink/link.ts';
import { Rtnetlink } from '../netlink/rtnetlink.ts';
import { RESOLVER_PORTS } from '../netlink/traffic-control.ts';
import type { ConfigureNetworkRequest } from '../protocol/agent.gen.ts';
import { DNS_PORT, RESOLVER_ADDRESS } from '../protocol/dns-message.ts';
import type { HostResolver } from './resolver-query.ts';

/** A network card of the VM. */
export interface NetworkCard {
  /** Name of its tap, which is in the network namespace of this process at first. */
  readonly tap: string;
  /** What the guest knows it by. */
  readonly macAddress: string;
}

export type ContainerNetworkErrorCode =
  /** Another VM has the interfaces of this network namespace. */
  | 'IN_USE'
  /** The kernel lacks what joins interfaces, or refuses it. */
  | 'CANNOT_JOIN';

export class ContainerNetworkError extends TskataError<ContainerNetworkErrorCode> {}

/** What the guest is to have, and which cards somebody is at the other end of. */
export interface GuestNetwork {
  readonly request: ConfigureNetworkRequest;
  readonly plugged: readonly NetworkCard[];
  /** Interfaces for which no card is left. */
  readonly left: readonly string[];
  /** The resolver that somebody has at `RESOLVER_ADDRESS` of the network namespace. */
  readonly resolver: HostResolver | undefined;
  /** What this resolver lacks, in words for a person. */
  readonly problem: string | undefined;
}

interface Joined {
  readonly card: NetworkCard;
  readonly interfaceIndex: number;
}

/** Link-local addresses: each kernel makes its own. */
const LINK_LOCAL = /^fe[89ab]/i;

/** Sockets of UDP and their addresses, in the network namespace of the thread that reads (proc_pid_net(5)). */
const UDP_SOCKETS = '/proc/thread-self/net/udp';
/** From which ports sockets of a network namespace send that were given none (ip(7)). */
const LOCAL_PORTS = '/proc/sys/net/ipv4/ip_local_port_range';

/** Whether there is a socket at the resolver's address; whoever asks it at its own port comes there by rules of netfilter. */
export function listsResolver(udpSockets: string): boolean {
  const address = Buffer.from(parseIp(RESOLVER_ADDRESS) ?? []).reverse();
  return new RegExp(`^ *\\d+: ${address.toString('hex')}:`, 'im').test(udpSockets);
}

/** A process must be alone with its network namespace, where the taps wait. */
export class ContainerNetwork implements Disposable {
  readonly #namespace: OwnedFd;
  readonly #cards: readonly NetworkCard[];
  readonly #resources = new DisposableStack();
  /** Cards whose taps are in the container's network namespace. */
  readonly #moved = new Set<NetworkCard>();
  #joined: readonly Joined[] = [];
  #resolver: HostResolver | undefined;
  /** Interfaces where answers to the resolver are let through, by their indexes. */
  readonly #answered = new Set<number>();

  /** @param path of the network namespace. @throws Node's error when there is none */
  constructor(path: string, cards: readonly NetworkCard[]) {
    this.#namespace = this.#resources.use(openNetworkNamespace(path));
    this.#cards = cards;
  }

  /** Calls back when something has changed, and for what `update` changes too. @throws SystemError */
  watch(onChange: () => void): void {
    const monitor = this.#resources.use(inNetworkNamespace(this.#namespace.fd, () => new NetlinkMonitor()));
    const onReady = (): void => {
      monitor.drain();
      onChange();
    };
    this.#resources.use(watchFd(monitor.fd, onReady, { ref: false }));
  }

  /**
   * Joins interfaces that have come with free cards, and frees the cards of those that have gone.
   * @throws ContainerNetworkError; SystemError
   */
  update(): GuestNetwork {
    const network = new Rtnetlink(inNetworkNamespace(this.#namespace.fd, () => new NetlinkSocket()));
    try {
      const links = network.links();
      const ours = new Set([...this.#moved].map(({ tap }) => tap));
      const interfaces = links.filter((link) => isCard(link) && !ours.has(link.name));
      const kept = this.#joined.filter(({ interfaceIndex }) =>
        interfaces.some(({ index }) => index === interfaceIndex),
      );
      this.#joined = kept;
      for (const index of this.#answered)
        if (!kept.some((one) => one.interfaceIndex === index)) this.#answered.delete(index);
      const left: string[] = [];
      for (const link of interfaces) {
        if (kept.some(({ interfaceIndex }) => interfaceIndex === link.index)) continue;
        const card = this.#cards.find((one) => !this.#joined.some((joined) => joined.card === one));
        if (card === undefined) left.push(link.name);
        else this.#join(network, link, card);
      }
      const joined = network.links();
      this.#adjust(network, joined);
      const problem = this.#findResolver() === undefined ? undefined : this.#letAnswersThrough(network, joined);
      return { ...this.#forGuest(network, joined), left, resolver: this.#resolver, problem };
    } finally {
      network.close();
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #join(network: Rtnetlink, link: Link, card: NetworkCard): void {
    if (!this.#moved.has(card)) this.#move(network, card);
    const tap = linkOf(network, card.tap);
    try {
      network.redirect(tap, link);
      network.redirect(link, tap);
    } catch (cause) {
      const message = `cannot join the interface ${link.name} of the container with the virtual machine's: ${messageOf(cause)}; the kernel needs sch_ingress, cls_matchall and act_mirred`;
      throw new ContainerNetworkError('CANNOT_JOIN', message, { name: link.name }, { cause });
    }
    this.#joined = [...this.#joined, { card, interfaceIndex: link.index }];
  }

  #findResolver(): HostResolver | undefined {
    const { fd } = this.#namespace;
    if (this.#resolver !== undefined) return this.#resolver;
    if (!listsResolver(inNetworkNamespace(fd, () => readFileSync(UDP_SOCKETS, 'latin1')))) return undefined;
    this.#resolver = {
      address: RESOLVER_ADDRESS,
      port: DNS_PORT,
      openSocket: (protocol) => inNetworkNamespace(fd, () => openInetSocket(protocol)),
    };
    return this.#resolver;
  }

  /**
   * A resolver asks others for the names that it does not know, by the container's own interfaces.
   * @returns why it cannot
   */
  #letAnswersThrough(network: Rtnetlink, links: readonly Link[]): string | undefined {
    try {
      for (const { card, interfaceIndex } of this.#joined) {
        if (this.#answered.has(interfaceIndex)) continue;
        const { first, last } = RESOLVER_PORTS;
        inNetworkNamespace(this.#namespace.fd, () => writeFileSync(LOCAL_PORTS, `${first} ${last}`));
        const link = links.find(({ index }) => index === interfaceIndex);
        if (link === undefined) continue;
        network.passAnswers(link, linkNamed(links, card.tap));
        this.#answered.add(interfaceIndex);
      }
      return undefined;
    } catch (error) {
      return `the resolver of the container's network knows names of containers alone: ${messageOf(error)}; the kernel needs cls_u32`;
    }
  }

  /** Brings a card's tap to the interfaces that it may be joined with. It goes when the VM closes it, wherever it is. */
  #move(network: Rtnetlink, card: NetworkCard): void {
    if (network.links().some(({ name }) => name === card.tap)) {
      const message = `the network namespace has an interface ${card.tap}: another virtual machine is in it`;
      throw new ContainerNetworkError('IN_USE', message, { name: card.tap });
    }
    const own = new Rtnetlink(new NetlinkSocket());
    try {
      own.changeLink(linkOf(own, card.tap), { namespaceFd: this.#namespace.fd }, 'network namespace');
    } finally {
      own.close();
    }
    this.#moved.add(card);
  }

  /** Gives taps what must be the same at both ends. */
  #adjust(network: Rtnetlink, links: readonly Link[]): void {
    for (const { card, interfaceIndex } of this.#joined) {
      const tap = links.find(({ name }) => name === card.tap);
      const link = links.find(({ index }) => index === interfaceIndex);
      if (tap === undefined || link === undefined) continue;
      if (tap.mtu !== link.mtu) network.changeLink(tap, { mtu: link.mtu }, `MTU ${link.mtu}`);
      if ((tap.flags & IFF_UP) === 0) network.changeLink(tap, { flags: { mask: IFF_UP, flags: IFF_UP } }, 'state');
    }
  }

  #forGuest(network: Rtnetlink, links: readonly Link[]): Pick<GuestNetwork, 'request' | 'plugged'> {
    const { interfaces, routes, neighbours } = describeNetwork(network, { kernels: false });
    const joined = this.#joined.flatMap(({ card, interfaceIndex }) => {
      const link = links.find(({ index }) => index === interfaceIndex);
      const described = interfaces.find(({ name }) => name === link?.name);
      return link === undefined || described === undefined ? [] : [{ card, link, described }];
    });
    const names = new Set(joined.map(({ link }) => link.name));
    return {
      plugged: joined.map(({ card }) => card),
      request: {
        interfaces: joined.map(({ card, link, described }) => ({
          ...described,
          addresses: described.addresses.filter((address) => !LINK_LOCAL.test(address)),
          macAddress: card.macAddress,
          newMacAddress: link.macAddress,
        })),
        hiddenMacAddresses: this.#cards
          .filter((card) => !joined.some((one) => one.card === card))
          .map(({ macAddress }) => macAddress),
        routes: routes.filter((route) => names.has(route.interface) && !LINK_LOCAL.test(route.destination)),
        neighbours: neighbours.filter((one) => names.has(one.interface) && one.state === NUD_PERMANENT),
        resolvConf: undefined,
        hosts: undefined,
      },
    };
  }
}

/** What a VM can be at the other end of. Tunnels of IP, which each network namespace may have, are none. */
function isCard({ flags, hardwareType }: Link): boolean {
  return hardwareType === ARPHRD_ETHER && (flags & IFF_LOOPBACK) === 0;
}

/** @throws SystemError ENODEV */
function linkOf(network: Rtnetlink, name: string): Link {
  return linkNamed(network.links(), name);
}

/** @throws SystemError ENODEV */
function linkNamed(links: readonly Link[], name: string): Link {
  const link = links.find((one) => one.name === name);
  if (link !== undefined) return link;
  throw new SystemError('netlink', constants.errno.ENODEV, `interface ${name}`, 'it was removed while it was in use');
}
