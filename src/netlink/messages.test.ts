// Messages against what iproute2 sends and what the kernel answers: testing/capture-netlink.ts has captured both.
import { describe, expect, test } from 'vitest';
import * as abi from './abi.gen.ts';
import { decodeAddress, encodeAddress } from './address.ts';
import { decodeLink, encodeLinkChange } from './link.ts';
import { decodeMessages, decodePayload, type NetlinkMessage } from './message.ts';
import { decodeNeighbour, encodeNeighbour } from './neighbour.ts';
import { decodeRoute, encodeRoute, type Route } from './route.ts';
import goldens from './testing/netlink-goldens.json' with { type: 'json' };
import { encodeAnswerFilters, encodeIngress, encodeRedirect } from './traffic-control.ts';

/** Index of the interface in the captures. */
const FIRST = 10;

const messages = (texts: readonly string[]): NetlinkMessage[] =>
  texts.flatMap((text) => decodeMessages(Uint8Array.from(Buffer.from(text, 'hex'))));
const payloads = (texts: readonly string[], type: number): Uint8Array[] =>
  messages(texts)
    .filter((message) => message.type === type)
    .map(({ payload }) => payload);

/** A request's header, and its attributes in the order of their types: iproute2 has an order of its own. */
function contents(payload: Uint8Array, headerSize: number) {
  const { attributes } = decodePayload(payload, headerSize);
  const sorted = [...attributes].sort(([a], [b]) => a - b);
  return {
    header: Buffer.from(payload.subarray(0, headerSize)).toString('hex'),
    attributes: sorted.map(([type, value]) => `${type}: ${Buffer.from(value).toString('hex')}`),
  };
}

const route = (more: Partial<Route>): Route => ({
  family: 4,
  destination: { address: '0.0.0.0', prefixLength: 0 },
  gateway: '',
  interfaceIndex: FIRST,
  source: '',
  scope: abi.RT_SCOPE_UNIVERSE,
  metric: 0,
  mtu: 0,
  onLink: false,
  ...more,
});

const ROUTES = {
  route: route({ gateway: '192.0.2.1', source: '192.0.2.7', metric: 50, mtu: 1300 }),
  routeOnLink: route({
    destination: { address: '198.51.100.0', prefixLength: 24 },
    gateway: '10.0.0.1',
    onLink: true,
  }),
  routeOfLink: route({ destination: { address: '203.0.113.5', prefixLength: 32 }, scope: abi.RT_SCOPE_LINK }),
  route6: route({
    family: 6,
    destination: { address: '2001:db8:1::', prefixLength: 48 },
    gateway: '2001:db8::1',
    metric: 7,
  }),
};
const NEIGHBOUR = {
  interfaceIndex: FIRST,
  address: '192.0.2.1',
  macAddress: '02:00:5e:00:53:02',
  state: abi.NUD_PERMANENT,
};

describe('a request is what iproute2 sends', () => {
  test.each<[string, readonly string[], number, Uint8Array]>([
    [
      'IPv4 address',
      goldens.address4,
      abi.SIZEOF_ifaddrmsg,
      encodeAddress(FIRST, { address: '192.0.2.7', prefixLength: 24 }),
    ],
    [
      'IPv6 address',
      goldens.address6,
      abi.SIZEOF_ifaddrmsg,
      encodeAddress(FIRST, { address: '2001:db8::7', prefixLength: 64 }),
    ],
    ['route', goldens.route, abi.SIZEOF_rtmsg, encodeRoute(ROUTES.route)],
    ['route to a gateway on the link', goldens.routeOnLink, abi.SIZEOF_rtmsg, encodeRoute(ROUTES.routeOnLink)],
    ['route on the link', goldens.routeOfLink, abi.SIZEOF_rtmsg, encodeRoute(ROUTES.routeOfLink)],
    ['route of IPv6', goldens.route6, abi.SIZEOF_rtmsg, encodeRoute(ROUTES.route6)],
    ['neighbour', goldens.neighbour, abi.SIZEOF_ndmsg, encodeNeighbour(NEIGHBOUR)],
    ['MTU', goldens.mtu, abi.SIZEOF_ifinfomsg, encodeLinkChange(FIRST, { mtu: 1400 })],
    [
      'flag',
      goldens.noArp,
      abi.SIZEOF_ifinfomsg,
      encodeLinkChange(FIRST, { flags: { mask: abi.IFF_NOARP, flags: abi.IFF_NOARP } }),
    ],
    [
      'MAC address',
      goldens.macAddress,
      abi.SIZEOF_ifinfomsg,
      encodeLinkChange(FIRST, { macAddress: '02:00:5e:00:53:09' }),
    ],
    ['ingress', goldens.ingress, abi.SIZEOF_tcmsg, encodeIngress(FIRST)],
    ['no ingress', goldens.noIngress, abi.SIZEOF_tcmsg, encodeIngress(FIRST)],
    ['redirection', goldens.redirect, abi.SIZEOF_tcmsg, encodeRedirect(FIRST, 11)],
    ['answers of UDP', goldens.answers, abi.SIZEOF_tcmsg, encodeAnswerFilters(FIRST, 11)[1] ?? new Uint8Array()],
    [
      'name',
      goldens.name,
      abi.SIZEOF_ifinfomsg,
      encodeLinkChange(FIRST, { name: 'eth0', flags: { mask: abi.IFF_UP, flags: 0 } }),
    ],
  ])('%s', (_what, golden, headerSize, ours) => {
    const [theirs] = messages(golden);

    expect(contents(ours, headerSize)).toEqual(contents(theirs?.payload ?? new Uint8Array(), headerSize));
  });
});

describe("the kernel's answer is read", () => {
  test('interfaces', () => {
    expect(payloads(goldens.links, abi.RTM_NEWLINK).map(decodeLink)).toEqual([
      expect.objectContaining({ index: 1, name: 'lo', mtu: 65536, macAddress: '00:00:00:00:00:00' }),
      expect.objectContaining({ index: FIRST, name: 'first', mtu: 1500, macAddress: '02:00:5e:00:53:01' }),
      expect.objectContaining({ index: 11, name: 'outside', mtu: 1500 }),
    ]);
  });

  test('addresses, with those of the kernel', () => {
    const addresses = payloads(goldens.addresses, abi.RTM_NEWADDR).map(decodeAddress);

    expect(addresses.filter((address) => address?.interfaceIndex === FIRST)).toEqual([
      expect.objectContaining({ address: '192.0.2.7', prefixLength: 24, isKernels: false }),
      expect.objectContaining({ address: '2001:db8::7', prefixLength: 64, isKernels: false }),
      expect.objectContaining({ address: 'fe80::5eff:fe00:5301', prefixLength: 64, isKernels: true }),
    ]);
    expect(addresses).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ address: '127.0.0.1', isKernels: true }),
        expect.objectContaining({ address: '::1', isKernels: true }),
      ]),
    );
  });

  test('routes of the main table', () => {
    const routes = payloads([...goldens.routes, ...goldens.routes6], abi.RTM_NEWROUTE).flatMap(
      (payload) => decodeRoute(payload) ?? [],
    );

    expect(routes.filter(({ isKernels }) => !isKernels).map((one) => one.route)).toEqual(Object.values(ROUTES));
    expect(routes.filter(({ isKernels }) => isKernels).map((one) => one.route?.destination.address)).toEqual(
      expect.arrayContaining(['192.0.2.0', '2001:db8::', 'fe80::']),
    );
  });

  test('neighbours', () => {
    expect(payloads(goldens.neighbours, abi.RTM_NEWNEIGH).map(decodeNeighbour)).toContainEqual(NEIGHBOUR);
  });
});
