// The guest's network: interfaces, addresses, routes and neighbours as they were asked for, judged by iproute2.
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConfigureNetworkRequest, NetworkInterface, NetworkRoute } from '../../src/protocol/agent.gen.ts';
import { config, TestAgent } from './harness.ts';

const [MAC, OTHER_MAC] = ['02:00:5e:00:53:01', '02:00:5e:00:53:02'];
const [GATEWAY, MTU] = ['192.0.2.1', 1400];

let agent: TestAgent;
beforeEach(async () => {
  agent = await TestAgent.start();
  agent.runInside('ip', 'link', 'set', 'lo', 'up');
  agent.runInside('ip', 'link', 'add', 'first', 'address', MAC, 'type', 'veth', 'peer', 'name', 'outside');
  agent.runInside('ip', 'link', 'set', 'outside', 'up');
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
});

const card = (more: Partial<NetworkInterface> = {}): NetworkInterface => ({
  name: 'eth0',
  macAddress: MAC,
  mtu: 0,
  addresses: ['192.0.2.7/24'],
  down: false,
  noArp: false,
  newMacAddress: '',
  ...more,
});

const route = (more: Partial<NetworkRoute>): NetworkRoute => ({
  destination: '',
  gateway: '',
  interface: 'eth0',
  source: '',
  scope: 0,
  family: 0,
  metric: 0,
  mtu: 0,
  onLink: false,
  ...more,
});

const configure = async (more: Partial<ConfigureNetworkRequest>): Promise<number> => {
  const request = {
    interfaces: [card()],
    routes: [],
    neighbours: [],
    resolvConf: undefined,
    hosts: undefined,
    hiddenMacAddresses: [],
    ...more,
  };
  return (await agent.call('ConfigureNetwork', request)).changes;
};

/** What iproute2 says, as objects. */
// biome-ignore lint/suspicious/noExplicitAny: as iproute2 gives it
const ip = (...args: string[]): any[] => JSON.parse(agent.runInside('ip', '-j', ...args));
const linkNames = (): string[] => ip('link').map(({ ifname }) => ifname);
const addresses = (name: string): string[] =>
  ip('address', 'show', name).flatMap(({ addr_info }) =>
    addr_info.map(
      (one: { local: string; prefixlen: number; scope: string; tentative?: boolean }) =>
        `${one.local}/${one.prefixlen} ${one.scope}${one.tentative ? ' tentative' : ''}`,
    ),
  );
const routes = (...args: string[]): string[] =>
  agent
    .runInside('ip', ...args, 'route')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('fe80::/64'));
/** Every interface, address, route and neighbour with its identity and nothing that changes by itself. */
const wholeState = (): string =>
  ['link', 'address', '-6 route', 'route', 'neigh'].map((what) => agent.runInside('ip', ...what.split(' '))).join('');

test.each([
  ['a route', { routes: [route({ gateway: '10.0.0.1' })] }],
  ['an MTU', { interfaces: [card({ mtu: 100_000_000, addresses: [] })] }],
])('a request that fails for %s changes nothing', async (_what, more) => {
  const good = { interfaces: [card({ name: 'one' })], routes: [route({ gateway: GATEWAY, interface: 'one' })] };
  await configure(good);
  // The kernel's own link-local addresses and routes come and go with the interface, in an order of theirs.
  const settled = () =>
    wholeState()
      .split('\n')
      .filter((line) => !line.includes('fe80::'))
      .sort();
  const before = settled();

  await expect(configure(more)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });

  expect(settled()).toEqual(before);
  expect(await configure(good)).toBe(0);
});

describe('an interface', () => {
  test('is found by its MAC address, named, sized and brought up', async () => {
    await configure({ interfaces: [card({ macAddress: MAC.toUpperCase(), mtu: MTU, noArp: true })] });

    const [link] = ip('link', 'show', 'eth0');
    expect(link).toMatchObject({ ifname: 'eth0', address: MAC, mtu: MTU });
    expect(link.flags).toEqual(expect.arrayContaining(['UP', 'NOARP']));
  });

  test('gets IPv4 and IPv6 addresses that can be used at once', async () => {
    await configure({ interfaces: [card({ addresses: ['192.0.2.7/24', '198.51.100.1/32', '2001:DB8:0::7/64'] })] });

    expect(addresses('eth0')).toEqual(
      expect.arrayContaining(['192.0.2.7/24 global', '198.51.100.1/32 global', '2001:db8::7/64 global']),
    );
    expect(agent.runInside('ip', 'address', 'show', 'eth0')).toContain('192.0.2.7/24 brd 192.0.2.255');
    expect(agent.runInside('ip', 'address', 'show', 'eth0')).toMatch(/2001:db8::7\/64 scope global nodad/);
  });

  test('loses addresses that are no longer asked for, and keeps the others, though they were in one network', async () => {
    await configure({ interfaces: [card({ addresses: ['192.0.2.7/24', '192.0.2.8/24', '2001:db8::7/64'] })] });
    await configure({ interfaces: [card({ addresses: ['192.0.2.8/24', '2001:db8::8/64'] })] });

    const left = addresses('eth0').filter((address) => !address.startsWith('fe80'));
    expect(left).toEqual(['192.0.2.8/24 global', '2001:db8::8/64 global']);
  });

  test('keeps the link-local address that the kernel made', async () => {
    await configure({});
    await expect.poll(() => addresses('eth0')).toContainEqual(expect.stringMatching(/^fe80/));
    await configure({});

    expect(addresses('eth0')).toContainEqual(expect.stringMatching(/^fe80/));
  });

  test('can be left down', async () => {
    await configure({});
    await configure({ interfaces: [card({ down: true, addresses: [] })] });

    expect(ip('link', 'show', 'eth0')[0].flags).not.toContain('UP');
  });

  test('exchanges its name with another', async () => {
    agent.runInside('ip', 'link', 'add', 'second', 'address', OTHER_MAC, 'type', 'veth');
    const pair = (first: string, second: string) => [
      card({ name: first }),
      card({ name: second, macAddress: OTHER_MAC, addresses: ['198.51.100.7/24'] }),
    ];
    await configure({ interfaces: pair('eth0', 'eth1') });
    const before = ip('link');
    await configure({ interfaces: pair('eth1', 'eth0') });

    expect(before).toEqual(expect.arrayContaining([expect.objectContaining({ ifname: 'eth0', address: MAC })]));
    expect(ip('link')).toEqual(expect.arrayContaining([expect.objectContaining({ ifname: 'eth1', address: MAC })]));
    expect(addresses('eth1')).toContain('192.0.2.7/24 global');
    expect(addresses('eth0')).toContain('198.51.100.7/24 global');
  });

  test('may arrive a moment later', async () => {
    const configured = configure({
      interfaces: [card(), card({ name: 'eth1', macAddress: OTHER_MAC, addresses: [] })],
    });
    await agent.call('GuestDetails', {});
    agent.runInside('ip', 'link', 'add', 'late', 'address', OTHER_MAC, 'type', 'veth');
    await configured;

    expect(linkNames()).toEqual(expect.arrayContaining(['eth0', 'eth1']));
  });

  test('that shares its MAC address with another is refused with both names', async () => {
    agent.runInside('ip', 'link', 'set', 'outside', 'address', MAC);

    await expect(configure({})).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(
        /several interfaces have the MAC address 02:00:5e:00:53:01: (outside, first|first, outside)/,
      ),
    });
  });

  test('that does not exist is refused with those that do', async () => {
    await expect(configure({ interfaces: [card({ macAddress: '02:00:5e:00:53:99' })] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/02:00:5e:00:53:99 for "eth0": it has .*first \(02:00:5e:00:53:01\)/),
    });
  });

  test('does not take the name of one that is not to be renamed', async () => {
    await expect(configure({ interfaces: [card({ name: 'outside' })] })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('the name "outside" belongs to another interface'),
    });
    expect(linkNames()).toContain('first');
  });

  test('with an MTU that it cannot have is refused with the words of the kernel', async () => {
    await expect(configure({ interfaces: [card({ mtu: 100_000_000 })] })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(
        /MTU 100000000 of interface eth0: invalid argument \(mtu greater than device maximum\)/,
      ),
    });
  });

  test('the loopback interface keeps its own addresses beside new ones', async () => {
    await configure({ interfaces: [card({ name: 'lo', macAddress: '', addresses: ['192.0.2.99/32'] })] });

    expect(addresses('lo')).toEqual(
      expect.arrayContaining(['127.0.0.1/8 host', '::1/128 host', '192.0.2.99/32 global']),
    );
  });
});

describe('routes', () => {
  const everyKind = [
    route({ gateway: GATEWAY, metric: 50, mtu: 1300 }),
    route({ destination: '198.51.100.0/24', gateway: '192.0.2.254', source: '192.0.2.7' }),
    route({ destination: '203.0.113.5/32' }),
    route({ gateway: 'fe80::1', family: 6 }),
    route({ destination: '2001:db8:1::/48', gateway: '2001:db8::1', metric: 7 }),
  ];
  const interfaces = [card({ addresses: ['192.0.2.7/24', '2001:db8::7/64'] })];

  test('of every kind are there, in both families', async () => {
    await configure({ interfaces, routes: everyKind });

    expect(routes()).toEqual([
      'default via 192.0.2.1 dev eth0 proto static metric 50 mtu 1300',
      '192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7',
      '198.51.100.0/24 via 192.0.2.254 dev eth0 proto static src 192.0.2.7',
      '203.0.113.5 dev eth0 proto static scope link',
    ]);
    expect(routes('-6')).toEqual([
      '2001:db8::/64 dev eth0 proto kernel metric 256 pref medium',
      '2001:db8:1::/48 via 2001:db8::1 dev eth0 proto static metric 7 pref medium',
      'default via fe80::1 dev eth0 proto static metric 1024 pref medium',
    ]);
  });

  test('come out of NetworkDetails as they went in', async () => {
    await configure({ interfaces, routes: everyKind });

    const details = await agent.call('NetworkDetails', {});

    expect(details.routes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ destination: '', gateway: GATEWAY, interface: 'eth0', metric: 50, mtu: 1300 }),
        expect.objectContaining({ destination: '2001:db8:1::/48', gateway: '2001:db8::1', metric: 7, family: 6 }),
      ]),
    );
    expect(details.interfaces).toContainEqual(expect.objectContaining({ name: 'lo', macAddress: '' }));
    const again = { ...details, interfaces: details.interfaces.filter(({ name }) => name === 'eth0') };
    expect(await configure(again)).toBe(0);
  });

  test('to a gateway outside of every subnet are made on the link, in any order', async () => {
    const routesOfCalico = [
      route({ gateway: '169.254.1.1' }),
      route({ destination: '169.254.1.1/32', scope: 253 }),
      route({ destination: '198.51.100.0/24', gateway: '10.0.0.1', onLink: true }),
    ];

    await configure({ interfaces: [card({ addresses: ['192.0.2.7/32'] })], routes: routesOfCalico });

    expect(routes()).toEqual([
      'default via 169.254.1.1 dev eth0 proto static',
      '169.254.1.1 dev eth0 proto static scope link',
      '198.51.100.0/24 via 10.0.0.1 dev eth0 proto static onlink',
    ]);
  });

  test('that are no longer asked for go, whoever made them; those of the kernel stay', async () => {
    await configure({ routes: [route({ gateway: GATEWAY })] });
    agent.runInside('ip', 'route', 'add', 'blackhole', '203.0.113.0/24');
    agent.runInside('ip', 'route', 'add', '198.51.100.0/24', 'nexthop', 'via', GATEWAY, 'nexthop', 'via', '192.0.2.2');
    agent.runInside('ip', 'route', 'add', '10.0.0.0/8', 'via', 'inet6', 'fe80::1', 'dev', 'eth0');
    await configure({ routes: [route({ gateway: '192.0.2.254' })] });

    expect(routes()).toEqual([
      'default via 192.0.2.254 dev eth0 proto static',
      '192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7',
    ]);
  });

  test('that the kernel has made for an address are not made again', async () => {
    const changes = await configure({ routes: [route({ destination: '192.0.2.0/24' })] });

    expect(routes()).toEqual(['192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7']);
    expect(await configure({ routes: [route({ destination: '192.0.2.0/24' })] })).toBe(0);
    expect(changes).toBeGreaterThan(0);
  });

  test('to a gateway that cannot be reached are refused with the words of the kernel', async () => {
    await expect(configure({ routes: [route({ gateway: '10.0.0.1' })] })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(
        /route to 0.0.0.0\/0 via 10.0.0.1 by eth0: network is unreachable \(.*gateway.*\)/,
      ),
    });
  });

  test('by an interface that is not there are refused with those that are', async () => {
    await expect(configure({ routes: [route({ gateway: GATEWAY, interface: 'eth7' })] })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/no interface "eth7": it has .*eth0/),
    });
  });
});

test('neighbours are permanent, and go when they are no longer asked for', async () => {
  const neighbour = (address: string, macAddress: string) => ({ address, macAddress, interface: 'eth0', state: 0 });
  await configure({ neighbours: [neighbour(GATEWAY, OTHER_MAC), neighbour('fe80::1', OTHER_MAC)] });
  const before = ip('neigh');
  await configure({ neighbours: [neighbour('fe80::1', MAC)] });

  const permanent = (dst: string, lladdr: string) => expect.objectContaining({ dst, lladdr, state: ['PERMANENT'] });
  expect(before).toEqual(expect.arrayContaining([permanent(GATEWAY, OTHER_MAC), permanent('fe80::1', OTHER_MAC)]));
  expect(ip('neigh').filter(({ state }) => state[0] === 'PERMANENT')).toEqual([permanent('fe80::1', MAC)]);
});

test('the same request again changes nothing', async () => {
  const request = {
    interfaces: [card({ mtu: MTU, addresses: ['192.0.2.7/24', '192.0.2.8/24', '2001:db8::7/64'] })],
    routes: [
      route({ gateway: GATEWAY }),
      route({ gateway: 'fe80::1', mtu: 1280 }),
      route({ destination: '10.0.0.0/8' }),
    ],
    neighbours: [{ address: GATEWAY, macAddress: OTHER_MAC, interface: 'eth0', state: 0 }],
  };
  const changes = await configure(request);
  const before = wholeState();

  expect(await configure(request)).toBe(0);
  expect(wholeState()).toBe(before);
  expect(changes).toBe(10);
});

describe('a request that makes no sense changes nothing', () => {
  test.each<[string, Partial<ConfigureNetworkRequest>, RegExp]>([
    ['a name with a slash', { interfaces: [card({ name: '../x' })] }, /interfaces\[0\].name is "..\/x"/],
    ['a name of 16 characters', { interfaces: [card({ name: 'x'.repeat(16) })] }, /1 to 15 ASCII characters/],
    ['no MAC address', { interfaces: [card({ macAddress: '' })] }, /empty for the interface "lo" and for no other/],
    ['a MAC address for lo', { interfaces: [card({ name: 'lo' })] }, /empty for the interface "lo" and for no other/],
    ['a wrong MAC address', { interfaces: [card({ macAddress: '02:00' })] }, /interfaces\[0\].mac_address is "02:00"/],
    ['no prefix length', { interfaces: [card({ addresses: ['192.0.2.7'] })] }, /interfaces\[0\].addresses\[0\]/],
    [
      'one name twice',
      { interfaces: [card(), card({ macAddress: OTHER_MAC })] },
      /two interfaces have the name "eth0"/,
    ],
    ['one card twice', { interfaces: [card(), card({ name: 'eth1' })] }, /two interfaces have the MAC address/],
    ['bits behind the prefix', { routes: [route({ destination: '10.1.2.3/8' })] }, /must be a network: 10.0.0.0\/8/],
    ['two families', { routes: [route({ destination: '10.0.0.0/8', gateway: 'fe80::1' })] }, /within one family/],
    ['no family', { routes: [route({})] }, /routes\[0\].family is "0": it must be 4 or 6/],
    ['a gateway that is none', { routes: [route({ gateway: 'gateway' })] }, /routes\[0\].gateway is "gateway"/],
    [
      'a gateway on the link, without one',
      { routes: [route({ destination: '10.0.0.0/8', onLink: true })] },
      /gateway is ""/,
    ],
    [
      'a neighbour of no address',
      { neighbours: [{ address: '', macAddress: MAC, interface: 'eth0', state: 0 }] },
      /neighbours\[0\].address/,
    ],
  ])('%s', async (_what, request, message) => {
    const before = wholeState();

    await expect(configure(request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
    expect(wholeState()).toBe(before);
  });
});

describe('the files of the resolver', () => {
  const directory = () => agent.pathInside('/run/tskata/network');

  test('are written, and stay the same files when they change', async () => {
    await configure({ resolvConf: 'nameserver 192.0.2.53\nsearch example.org\n', hosts: '127.0.0.1 localhost\n' });
    const mounts = [
      { destination: '/etc/resolv.conf', type: 'bind', source: '/run/tskata/network/resolv.conf', options: ['bind'] },
    ];
    const rootfs = agent.makeRootfs();
    const { stdout } = await agent.run(config(['cat', '/etc/resolv.conf'], { mounts }), rootfs);
    const bound = agent.runInside('stat', '-c', '%i', '/run/tskata/network/resolv.conf');
    await configure({ resolvConf: 'nameserver 192.0.2.54\n' });

    expect(stdout).toBe('nameserver 192.0.2.53\nsearch example.org\n');
    expect(readFileSync(`${directory()}/resolv.conf`, 'utf8')).toBe('nameserver 192.0.2.54\n');
    expect(readFileSync(`${directory()}/hosts`, 'utf8')).toBe('127.0.0.1 localhost\n');
    expect(agent.runInside('stat', '-c', '%i', '/run/tskata/network/resolv.conf')).toBe(bound);
  });

  test('are not written through a symbolic link', async () => {
    mkdirSync(directory());
    symlinkSync('/etc/passwd', `${directory()}/hosts`);
    const before = readFileSync('/etc/passwd', 'utf8');

    await expect(configure({ hosts: 'spoiled' })).rejects.toMatchObject({ message: expect.stringContaining('hosts') });
    rmSync(`${directory()}/hosts`);

    expect(readFileSync('/etc/passwd', 'utf8')).toBe(before);
  });
});
