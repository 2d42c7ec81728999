// Brings the kernel's network into a planned state, by the changes that are missing and no others.
import { messageOf } from '../../../src/lib/errors.ts';
import * as abi from '../../../src/netlink/abi.gen.ts';
import { describeNetwork } from '../../../src/netlink/describe.ts';
import { formatPrefix } from '../../../src/netlink/ip.ts';
import type { Link } from '../../../src/netlink/link.ts';
import { type ExistingRoute, type Route, routeKey } from '../../../src/netlink/route.ts';
import { Rtnetlink } from '../../../src/netlink/rtnetlink.ts';
import type { NetworkDetailsResponse } from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import type { EventLoop } from '../event-loop.ts';
import { SystemError } from '../linux/call.ts';
import { NetlinkSocket } from '../linux/netlink.ts';
import { log } from '../log.ts';
import { findLink } from './find-link.ts';
import type { HiddenCards } from './hidden-cards.ts';
import { type InterfacePlan, type NetworkPlan, planNetwork } from './plan.ts';

/** How long an interface that the VM gets while it runs may take to be there, and how often it is looked for. */
const ARRIVAL_MAX_MS = 3000;
const ARRIVAL_INTERVAL_MS = 20;

/** @returns how many changes were made. @throws StatusError, and the network is as it was then */
export async function configureNetwork(plan: NetworkPlan, cards: HiddenCards, loop: EventLoop): Promise<number> {
  const network = new Rtnetlink(new NetlinkSocket());
  try {
    cards.show(plan.interfaces.map(({ macAddress }) => macAddress));
    await awaitInterfaces(network, plan.interfaces, loop);
    // From here on nothing waits: two requests cannot get between each other's changes.
    const before = describeNetwork(network, { kernels: false });
    const links = network.links();
    const changed = plan.interfaces.flatMap((one) => findLink(links, one)?.name ?? []);
    try {
      apply(network, plan);
    } catch (error) {
      restore(network, before, changed);
      throw error;
    }
    cards.hide(network, plan.hidden);
    return network.changes;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StatusError(
      'FAILED_PRECONDITION',
      `the network cannot be set up: ${error.message}`,
      {},
      { cause: error },
    );
  } finally {
    network.close();
  }
}

function apply(network: Rtnetlink, plan: NetworkPlan): void {
  nameInterfaces(network, plan.interfaces);
  const links = linksByName(network);
  for (const one of plan.interfaces) setUpInterface(network, one, linkOf(links, one.name));
  setAddresses(network, plan.interfaces, links);
  setRoutes(network, plan, links);
  setNeighbours(network, plan, links);
}

/** Undoes what a request has changed before it failed. What is in its way is told on the console: the request's own error counts. */
function restore(network: Rtnetlink, before: NetworkDetailsResponse, changed: readonly string[]): void {
  try {
    const interfaces = before.interfaces.filter(({ name }) => changed.includes(name));
    const rest = { resolvConf: undefined, hosts: undefined, hiddenMacAddresses: [] };
    apply(network, planNetwork({ ...before, interfaces, ...rest }));
  } catch (error) {
    log(`the network cannot be brought back to what it was before a request that failed: ${messageOf(error)}`);
  }
}

function linksByName(network: Rtnetlink): ReadonlyMap<string, Link> {
  return new Map(network.links().map((link) => [link.name, link]));
}

function linkOf(links: ReadonlyMap<string, Link>, name: string): Link {
  const link = links.get(name);
  if (link !== undefined) return link;
  const known = [...links.keys()].join(', ');
  throw new StatusError('FAILED_PRECONDITION', `the guest has no interface "${name}": it has ${known}`);
}

/** Waits until every interface of the plan is there. */
async function awaitInterfaces(network: Rtnetlink, plans: readonly InterfacePlan[], loop: EventLoop): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += ARRIVAL_INTERVAL_MS) {
    const links = network.links();
    const missing = plans.find((plan) => findLink(links, plan) === undefined);
    if (missing === undefined) return;
    if (waitedMs >= ARRIVAL_MAX_MS) {
      const known = links.map(({ name, macAddress }) => `${name} (${macAddress})`).join(', ');
      throw new StatusError(
        'NOT_FOUND',
        `the guest has no interface with the MAC address ${missing.macAddress} for "${missing.name}": it has ${known}`,
      );
    }
    await loop.delay(ARRIVAL_INTERVAL_MS);
  }
}

/** Gives the interfaces their names, also where they change them among each other. */
function nameInterfaces(network: Rtnetlink, plans: readonly InterfacePlan[]): void {
  const links = network.links();
  const renamed = plans.flatMap((plan) => {
    const link = findLink(links, plan);
    return link === undefined || link.name === plan.name ? [] : [{ link, name: plan.name }];
  });
  for (const { name } of renamed) {
    const holder = links.find((link) => link.name === name);
    if (holder !== undefined && !renamed.some(({ link }) => link === holder)) {
      const message = `the name "${name}" belongs to another interface, ${holder.macAddress}, which the request does not rename`;
      throw new StatusError('FAILED_PRECONDITION', message);
    }
  }
  const takesNameOfAnother = renamed.some(({ name }) => links.some((link) => link.name === name));
  for (const { link } of renamed) {
    if ((link.flags & abi.IFF_UP) !== 0) network.changeLink(link, { flags: { mask: abi.IFF_UP, flags: 0 } }, 'state');
    if (takesNameOfAnother) network.changeLink(link, { name: `tskata${link.index}` }, 'intermediate name');
  }
  for (const { link, name } of renamed) network.changeLink(link, { name }, `new name "${name}"`);
}

function setUpInterface(network: Rtnetlink, plan: InterfacePlan, link: Link): void {
  if (plan.newMacAddress !== '' && plan.newMacAddress !== link.macAddress) {
    network.changeLink(link, { macAddress: plan.newMacAddress }, `MAC address ${plan.newMacAddress}`);
  }
  if (plan.mtu !== 0 && plan.mtu !== link.mtu) network.changeLink(link, { mtu: plan.mtu }, `MTU ${plan.mtu}`);
  const mask = abi.IFF_UP | abi.IFF_NOARP;
  const flags = (plan.down ? 0 : abi.IFF_UP) | (plan.noArp ? abi.IFF_NOARP : 0);
  if ((link.flags & mask) !== flags) network.changeLink(link, { flags: { mask, flags } }, 'state');
}

function setAddresses(network: Rtnetlink, plans: readonly InterfacePlan[], links: ReadonlyMap<string, Link>): void {
  for (const plan of plans) {
    const link = linkOf(links, plan.name);
    const wanted = new Map(plan.addresses.map((address) => [formatPrefix(address), address]));
    const existing = () => network.addresses().filter(({ interfaceIndex }) => interfaceIndex === link.index);
    for (const address of existing()) {
      if (!address.isKernels && !wanted.has(formatPrefix(address))) network.removeAddress(link, address);
    }
    // Read again: with the first address of an IPv4 network the kernel removes the others of that network.
    const there = new Set(existing().map(formatPrefix));
    for (const [text, address] of wanted) if (!there.has(text)) network.addAddress(link, address);
  }
}

/** Whether a route that the kernel made for an address is the wanted one, which may leave the source address open. */
function isCoveredBy(kernels: ExistingRoute, wanted: Route): boolean {
  return (
    kernels.isKernels && kernels.route !== undefined && routeKey({ ...kernels.route, source: '' }) === routeKey(wanted)
  );
}

function setRoutes(network: Rtnetlink, plan: NetworkPlan, links: ReadonlyMap<string, Link>): void {
  const wanted = new Map<string, { route: Route; name: string }>();
  for (const { interface: name, ...rest } of plan.routes) {
    const route = { ...rest, interfaceIndex: linkOf(links, name).index };
    wanted.set(routeKey(route), { route, name });
  }
  const kept = network.routes().filter((existing) => {
    if (existing.isKernels || (existing.route !== undefined && wanted.has(routeKey(existing.route)))) return true;
    network.removeRoute(existing);
    return false;
  });
  for (const [key, { route, name }] of wanted) {
    const isThere = kept.some(
      (one) => isCoveredBy(one, route) || (one.route !== undefined && routeKey(one.route) === key),
    );
    if (!isThere) network.addRoute(route, name);
  }
}

function setNeighbours(network: Rtnetlink, plan: NetworkPlan, links: ReadonlyMap<string, Link>): void {
  const wanted = plan.neighbours.map(({ interface: name, ...rest }) => ({
    ...rest,
    interfaceIndex: linkOf(links, name).index,
  }));
  const ours = new Set(plan.interfaces.map(({ name }) => linkOf(links, name).index));
  const existing = network.neighbours();
  for (const one of existing) {
    const isOld = one.state === abi.NUD_PERMANENT && ours.has(one.interfaceIndex);
    if (isOld && !wanted.some((other) => isSamePlace(one, other))) network.removeNeighbour(one);
  }
  for (const one of wanted) {
    const isThere = existing.some(
      (other) => isSamePlace(one, other) && one.macAddress === other.macAddress && one.state === other.state,
    );
    if (!isThere) network.setNeighbour(one);
  }
}

function isSamePlace(
  one: { interfaceIndex: number; address: string },
  other: { interfaceIndex: number; address: string },
): boolean {
  return one.interfaceIndex === other.interfaceIndex && one.address === other.address;
}
