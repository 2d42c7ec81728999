// The network of a container: what its network namespace on the host has, whoever made it and when.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Runtime, RuntimeBed, shell, until } from '../oci/harness.ts';

const tskata: Runtime = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };
const MAC = '02:42:c0:00:02:07';
const HOST = '192.0.2.1';
const GUEST = '192.0.2.7';
const HOST6 = '2001:db8::1';
const GUEST6 = '2001:db8::7';
const MTU = 1400;
/** Where the host says who has come. */
const PORT = 7000;

const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

/** What engines make: a veth whose one end is in the container's network namespace, with addresses and routes. */
function plug(namespace: string, name = 'eth0', outside = 'tkhost0'): void {
  const inside = (...args: readonly string[]): string => ip('-n', namespace, ...args);
  ip('link', 'add', outside, 'mtu', String(MTU), 'type', 'veth', 'peer', 'name', 'tkpeer', 'mtu', String(MTU));
  onTestFinished(() => unplug(outside));
  ip('link', 'set', 'tkpeer', 'netns', namespace, 'address', MAC, 'name', name);
  ip('address', 'add', `${HOST}/24`, 'dev', outside);
  ip('address', 'add', `${HOST6}/64`, 'dev', outside, 'nodad');
  ip('link', 'set', outside, 'up');
  inside('address', 'add', `${GUEST}/24`, 'dev', name);
  inside('address', 'add', `${GUEST6}/64`, 'dev', name, 'nodad');
  inside('link', 'set', name, 'up');
  inside('route', 'add', 'default', 'via', HOST);
  inside('route', 'add', '198.51.100.0/24', 'dev', name);
  inside('neighbour', 'add', '192.0.2.99', 'lladdr', '02:42:c0:00:02:99', 'dev', name);
}

function unplug(outside: string): void {
  try {
    ip('link', 'delete', outside);
  } catch {
    // It went with its other end.
  }
}

const host = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.end(socket.remoteAddress === GUEST6 ? 'IPv6\n' : 'IPv4\n');
});
beforeAll(async () => {
  host.listen(PORT, '::');
  await once(host, 'listening');
});
afterAll(() => void host.close());

/** A network namespace with a name, as CNI and podman make it before they call a runtime. */
function makeNamespace(name: string): string {
  ip('netns', 'add', name);
  onTestFinished(() => void ip('netns', 'delete', name));
  return `/run/netns/${name}`;
}

/** ip(8) of a process's network namespace knows it by a name. */
function nameNamespace(name: string, pid: number): void {
  ip('netns', 'attach', name, String(pid));
  onTestFinished(() => void ip('netns', 'delete', name));
}

const LOOK = [
  'ls /sys/class/net',
  'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu',
  'ip -o address show dev eth0 | grep -o "inet6\\? [^ ]* .*scope global" | cut -d" " -f1-2',
  'ip route',
  'ip neigh | grep PERMANENT',
  `nc -w 10 ${HOST} ${PORT} < /dev/null`,
  `nc -w 10 ${HOST6} ${PORT} < /dev/null`,
].join('; ');

/** What LOOK prints. */
const SEEN = [
  'eth0',
  'lo',
  MAC,
  String(MTU),
  `inet ${GUEST}/24`,
  `inet6 ${GUEST6}/64`,
  `default via ${HOST} dev eth0 `,
  '192.0.2.0/24 dev eth0 scope link  src 192.0.2.7 ',
  '198.51.100.0/24 dev eth0 scope link ',
  '192.0.2.99 dev eth0 lladdr 02:42:c0:00:02:99 used 0/0/0 probes 0 PERMANENT',
  'IPv4',
  'IPv6',
];

const lines = (output: string): string[] =>
  output
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ used \d+\/\d+\/\d+ probes \d+/, ' used 0/0/0 probes 0'));

test('interfaces that are there before the container are its own, with addresses, routes, neighbours and MTU', async () => {
  await using bed = new RuntimeBed(tskata);
  const path = makeNamespace('tknet');
  plug('tknet');

  const result = await bed.call([
    'run',
    '-b',
    bed.bundle({ ...shell(LOOK), namespaces: [{ type: 'network', path }] }),
    'c1',
  ]);

  expect(result).toMatchObject({ status: 0, stderr: '' });
  expect(lines(result.stdout)).toEqual(SEEN);
  expect(ip('-n', 'tknet', '-o', 'link')).not.toContain('tskata');
});

test('an interface that comes between creation and start is there when the program begins', async () => {
  await using bed = new RuntimeBed(tskata);
  await bed.detached(['create', '-b', bed.bundle(shell(`${LOOK}; sleep 1000`)), 'c1']);
  nameNamespace('tkcreated', (await bed.state('c1')).pid);
  plug('tkcreated');

  await bed.call(['start', 'c1']);

  await until(() => bed.output('out').includes('IPv6'));
  expect(lines(bed.output('out'))).toEqual(SEEN);
});

test('interfaces come and go while the container runs', async () => {
  await using bed = new RuntimeBed(tskata);
  await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);
  const inside = async (script: string): Promise<string> =>
    (await bed.call(['exec', 'c1', 'sh', '-c', script])).stdout.trim();
  nameNamespace('tkrunning', (await bed.state('c1')).pid);

  plug('tkrunning', 'first', 'tkhost0');
  await expect.poll(() => inside(`nc -w 1 ${HOST} ${PORT} < /dev/null`), { timeout: 60_000 }).toBe('IPv4');
  ip('-n', 'tkrunning', 'link', 'delete', 'first');
  await expect.poll(() => inside('ip -o link | grep -c first'), { timeout: 60_000 }).toBe('0');
  plug('tkrunning', 'second', 'tkhost1');
  await expect.poll(() => inside(`nc -w 1 ${HOST} ${PORT} < /dev/null`), { timeout: 60_000 }).toBe('IPv4');

  expect(await inside('cat /sys/class/net/second/address')).toBe(MAC);
});

test('what the container listens on is reached from the host, and all bytes come both ways', async () => {
  await using bed = new RuntimeBed(tskata);
  const path = makeNamespace('tkserver');
  plug('tkserver');
  const bundle = bed.bundle({ ...shell('nc -l -p 80 -e md5sum'), namespaces: [{ type: 'network', path }] });
  await bed.detached(['run', '--detach', '-b', bundle, 'c1']);
  const bytes = Buffer.alloc(8 * 1024 * 1024, 'what is sent to the container ');

  const send = async (): Promise<string> => {
    const socket = connect(80, GUEST);
    const received = text(socket);
    received.catch(() => undefined);
    await once(socket, 'connect');
    socket.end(bytes);
    return await received;
  };

  const digest = createHash('md5').update(bytes).digest('hex');
  await expect.poll(send, { timeout: 120_000 }).toBe(`${digest}  -\n`);
});

test('a second virtual machine is refused where the first has the interfaces', async () => {
  await using bed = new RuntimeBed(tskata);
  const path = makeNamespace('tkshared');
  plug('tkshared');
  const namespaces = [{ type: 'network' as const, path }];
  await bed.detached(['run', '--detach', '-b', bed.bundle({ ...shell('sleep 1000'), namespaces }), 'c1']);

  const second = await bed.call(['run', '-b', bed.bundle({ ...shell('true'), namespaces }), 'c2']);

  expect(second.status).toBe(1);
  expect(second.stderr).toContain('it is that of container c1, which runs in another virtual machine');
});
