// From a request to a checked plan: every text parsed, nothing asked of the kernel. Pure.
import * as abi from '../../../src/netlink/abi.gen.ts';
import {
  familyOf,
  formatIp,
  formatPrefix,
  type IpFamily,
  networkOf,
  type Prefix,
  parseIp,
  parseMac,
  parsePrefix,
  unspecified,
} from '../../../src/netlink/ip.ts';
import type { Neighbour } from '../../../src/netlink/neighbour.ts';
import type { Route } from '../../../src/netlink/route.ts';
import type {
  ConfigureNetworkRequest,
  NetworkInterface,
  NetworkNeighbour,
  NetworkRoute,
} from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';

const LOOPBACK = 'lo';

export interface InterfacePlan {
  readonly name: string;
  /** Empty for the loopback interface. */
  readonly macAddress: string;
  /** 0: as it is. */
  readonly mtu: number;
  readonly addresses: readonly Prefix[];
  readonly down: boolean;
  readonly noArp: boolean;
  /** Empty: as it is. */
  readonly newMacAddress: string;
}

/** What names its interface instead of having its index. */
export type Named<T extends { interfaceIndex: number }> = Omit<T, 'interfaceIndex'> & { readonly interface: string };

export interface NetworkPlan {
  readonly interfaces: readonly InterfacePlan[];
  readonly routes: readonly Named<Route>[];
  readonly neighbours: readonly Named<Neighbour>[];
  /** Cards that nobody is to see. */
  readonly hidden: readonly string[];
}

/** Metric of an IPv6 route that is given none (IP6_RT_PRIO_USER in include/uapi/linux/ipv6_route.h). */
const IPV6_METRIC = 1024;
/** IFNAMSIZ of include/uapi/linux/if.h, less the NUL. */
const NAME_MAX = 15;

function refuse(where: string, value: string, wanted: string): never {
  throw new StatusError('INVALID_ARGUMENT', `${where} is ${JSON.stringify(value)}: it must be ${wanted}`);
}

/** What the kernel takes as a name (dev_valid_name in net/core/dev.c), of ASCII alone. */
function checkName(name: string, where: string): string {
  const valid = /^[!-~]+$/.test(name) && !/[/:]/.test(name) && name !== '.' && name !== '..' && name.length <= NAME_MAX;
  return valid
    ? name
    : refuse(where, name, `an interface's name: 1 to ${NAME_MAX} ASCII characters, no "/", ":" or white space`);
}

function checkMac(text: string, where: string): string {
  return parseMac(text) ?? refuse(where, text, 'a MAC address like 02:00:5e:00:53:01');
}

function checkPrefix(text: string, where: string): Prefix {
  return (
    parsePrefix(text) ?? refuse(where, text, 'an address with its prefix length, like 192.0.2.7/24 or 2001:db8::7/64')
  );
}

function checkIp(text: string, where: string): string {
  const bytes = parseIp(text);
  return bytes === undefined ? refuse(where, text, 'an IP address') : formatIp(bytes);
}

function checkOptionalIp(text: string, where: string): string {
  return text === '' ? '' : checkIp(text, where);
}

function planInterface(request: NetworkInterface, where: string): InterfacePlan {
  const name = checkName(request.name, `${where}.name`);
  const isLoopback = request.macAddress === '';
  if (isLoopback !== (name === LOOPBACK)) {
    refuse(`${where}.mac_address`, request.macAddress, `empty for the interface "${LOOPBACK}" and for no other`);
  }
  return {
    name,
    macAddress: isLoopback ? '' : checkMac(request.macAddress, `${where}.mac_address`),
    mtu: request.mtu,
    addresses: request.addresses.map((text, index) => checkPrefix(text, `${where}.addresses[${index}]`)),
    down: request.down,
    noArp: request.noArp,
    newMacAddress: request.newMacAddress === '' ? '' : checkMac(request.newMacAddress, `${where}.new_mac_address`),
  };
}

/** The family of a route, from its addresses or, where it has none, from its field. */
function familyOfRoute(request: NetworkRoute, addresses: readonly string[], where: string): IpFamily {
  const families = new Set(addresses.filter((address) => address !== '').map(familyOf));
  if (request.family === 4 || request.family === 6) families.add(request.family);
  else if (request.family !== 0)
    refuse(`${where}.family`, String(request.family), '4, 6, or 0 where the addresses tell it');
  const [family, another] = families;
  if (family === undefined) refuse(`${where}.family`, '0', '4 or 6 where no address of the route tells it');
  if (another !== undefined) refuse(where, addresses.join(' '), 'a route within one family of addresses');
  return family;
}

function planRoute(request: NetworkRoute, where: string): Named<Route> {
  const given = request.destination === '' ? undefined : checkPrefix(request.destination, `${where}.destination`);
  const gateway = checkOptionalIp(request.gateway, `${where}.gateway`);
  const source = checkOptionalIp(request.source, `${where}.source`);
  const family = familyOfRoute(request, [given?.address ?? '', gateway, source], where);
  const destination = given ?? { address: unspecified(family), prefixLength: 0 };
  const network = networkOf(destination);
  if (network.address !== destination.address) {
    refuse(`${where}.destination`, request.destination, `a network: ${formatPrefix(network)}`);
  }
  if (request.scope > abi.RT_SCOPE_HOST) refuse(`${where}.scope`, String(request.scope), 'RT_SCOPE_*, 254 at most');
  if (request.onLink && gateway === '') refuse(`${where}.gateway`, '', 'there in a route whose gateway is on the link');
  // iproute2 does the same: a gateway is found by routes of narrower scope than its own route's, which this one must be.
  const scope = gateway === '' && request.scope === abi.RT_SCOPE_UNIVERSE ? abi.RT_SCOPE_LINK : request.scope;
  return {
    family,
    destination,
    gateway,
    interface: checkName(request.interface, `${where}.interface`),
    source,
    scope: family === 6 ? abi.RT_SCOPE_UNIVERSE : scope,
    metric: family === 6 && request.metric === 0 ? IPV6_METRIC : request.metric,
    mtu: request.mtu,
    onLink: request.onLink,
  };
}

function planNeighbour(request: NetworkNeighbour, where: string): Named<Neighbour> {
  return {
    address: checkIp(request.address, `${where}.address`),
    macAddress: checkMac(request.macAddress, `${where}.mac_address`),
    interface: checkName(request.interface, `${where}.interface`),
    state: request.state === 0 ? abi.NUD_PERMANENT : request.state,
  };
}

function requireDifferent(values: readonly string[], what: string): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index);
  if (twice !== undefined) throw new StatusError('INVALID_ARGUMENT', `two interfaces have the ${what} "${twice}"`);
}

/** @throws StatusError INVALID_ARGUMENT with the path of the field */
export function planNetwork(request: ConfigureNetworkRequest): NetworkPlan {
  const interfaces = request.interfaces.map((one, index) => planInterface(one, `interfaces[${index}]`));
  requireDifferent(
    interfaces.map(({ name }) => name),
    'name',
  );
  const hidden = request.hiddenMacAddresses.map((text, index) => checkMac(text, `hidden_mac_addresses[${index}]`));
  requireDifferent([...interfaces.map(({ macAddress }) => macAddress), ...hidden], 'MAC address');
  return {
    interfaces,
    // Those to which a gateway may be on the link come before those with a gateway.
    routes: request.routes
      .map((route, index) => planRoute(route, `routes[${index}]`))
      .sort((a, b) => Number(a.gateway !== '') - Number(b.gateway !== '')),
    neighbours: request.neighbours.map((one, index) => planNeighbour(one, `neighbours[${index}]`)),
    hidden,
  };
}
