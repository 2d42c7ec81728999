// A guest of the agent on a tap of the host: its network, the file systems that the host attached, its clock and processors.
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, stdioRequest } from '../agent/harness.ts';
import { type AgentGuest, type AgentVm, BOX, ROOTS_PATH, startAgentVm } from './agent-guest.ts';
import { useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

const TAP = 'tskata-test0';
const MAC = '02:00:5e:00:53:01';
const SECOND_MAC = '02:00:5e:00:53:02';
const [HOST, GUEST] = ['192.0.2.1', '192.0.2.7'];
const [HOST6, GUEST6] = ['2001:db8::1', '2001:db8::7'];
/** Behind the host's tap, but in no subnet of the guest. */
const BEYOND = '203.0.113.9';
const [HOST_PORT, GUEST_PORT] = [5101, 5102];
const CPUS = 2;
const CAPABILITY_SETS = ['bounding', 'effective', 'permitted'];

let machine: AgentVm;
let guest: AgentGuest;
let server: Server;

const NETWORK = {
  interfaces: [
    {
      name: 'net0',
      macAddress: MAC,
      mtu: 1400,
      addresses: [`${GUEST}/32`, `${GUEST6}/64`],
      down: false,
      noArp: false,
      newMacAddress: '',
    },
    { name: 'eth0', macAddress: SECOND_MAC, mtu: 0, addresses: [], down: true, noArp: false, newMacAddress: '' },
  ],
  routes: [
    { destination: '', gateway: HOST, onLink: false, scope: 0 },
    { destination: `${HOST}/32`, gateway: '', onLink: false, scope: 253 },
  ].map((one) => ({ ...one, interface: 'net0', source: '', family: 4, metric: 0, mtu: 0 })),
  neighbours: [],
  resolvConf: 'nameserver 192.0.2.53\n',
  hosts: `${HOST} gateway\n`,
  hiddenMacAddresses: [] as string[],
};

/** Runs a shell's line in the container. */
const shell = (line: string): Promise<string> => guest.exec(BOX, ['sh', '-c', line]);

beforeAll(async () => {
  const [second, disk] = [files.path('second'), files.path('disk.img')];
  mkdirSync(second);
  writeFileSync(join(second, 'here'), 'shared\n');
  execFileSync('truncate', ['-s', '8M', disk]);
  execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-F', disk]);
  execFileSync('ip', ['tuntap', 'add', 'dev', TAP, 'mode', 'tap']);
  for (const address of [`${HOST}/24`, `${BEYOND}/32`]) execFileSync('ip', ['address', 'add', address, 'dev', TAP]);
  execFileSync('ip', ['address', 'add', `${HOST6}/64`, 'dev', TAP, 'nodad']);
  execFileSync('ip', ['link', 'set', TAP, 'up']);
  machine = await startAgentVm(files, {
    words: 'maxcpus=1',
    memoryMib: 128,
    cpus: CPUS,
    shares: [{ tag: 'second', directory: second }],
    disks: [{ path: disk }],
    nets: [
      { end: { kind: 'tap', name: TAP }, mac: MAC },
      { end: { kind: 'none' }, mac: SECOND_MAC },
    ],
  });
  guest = machine.guest;
  await guest.agent.call('ConfigureNetwork', NETWORK);
  const document = config(['sleep', '100000'], {
    // The VM's network is the container's.
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })) },
  });
  const bound = ['resolv.conf', 'hosts'].map((name) => ({
    destination: `/etc/${name}`,
    type: 'bind',
    source: `/run/tskata/network/${name}`,
    options: ['bind', 'ro'],
  }));
  await guest.agent.call('CreateContainer', {
    containerId: BOX,
    ociConfigJson: JSON.stringify({ ...document, mounts: [...document.mounts, ...bound] }),
    rootfsPath: `${ROOTS_PATH}/${BOX}`,
    stdio: stdioRequest({ stdout: false, stderr: false }),
    seccomp: undefined,
    bundle: '',
  });
  await guest.agent.call('StartContainer', { containerId: BOX });
  server = createServer((socket) => void socket.end('from the host\n')).listen(HOST_PORT, HOST);
  await once(server, 'listening');
});
afterAll(async () => {
  server?.close();
  await machine?.[Symbol.asyncDispose]();
  execFileSync('ip', ['link', 'delete', TAP]);
});

describe('the network of a container', () => {
  test.each([
    ['the gateway', 'ping', HOST],
    ['what is behind the gateway', 'ping', BEYOND],
    ['the host over IPv6', 'ping6', HOST6],
    ['itself, over IPv6', 'ping6', '::1'],
  ])('reaches %s', async (_what, program, address) => {
    const capabilities = Object.fromEntries(CAPABILITY_SETS.map((set) => [set, ['CAP_NET_RAW']]));
    const printed = await guest.exec(BOX, [program, '-c', '1', '-W', '20', address], { capabilities });

    expect(printed).toContain('1 packets received');
  });

  test.each([
    ['ping', GUEST],
    ['ping6', GUEST6],
  ])('is reached by the host: %s %s', async (program, address) => {
    // The VM's devices are served by this process, which must not wait.
    const { stdout } = await promisify(execFile)('busybox', [program, '-c', '1', '-W', '20', address]);

    expect(stdout).toContain('1 packets received');
  });

  test('carries TCP to the host', async () => {
    expect(await shell(`busybox nc ${HOST} ${HOST_PORT} < /dev/null`)).toBe('from the host\n');
  });

  test('carries TCP from the host', async () => {
    const listening = shell(`echo from the guest | busybox nc -l -p ${GUEST_PORT}`);
    let received = '';
    await expect
      .poll(
        async () => {
          const socket = connect(GUEST_PORT, GUEST);
          socket.on('data', (chunk: Buffer) => {
            received += chunk.toString();
          });
          socket.on('error', () => undefined);
          await once(socket, 'close');
          return received;
        },
        { timeout: 60_000 },
      )
      .toBe('from the guest\n');
    await listening;
  });

  test('is as it was asked for, and the same request again changes nothing', async () => {
    const { changes } = await guest.agent.call('ConfigureNetwork', NETWORK);
    const { interfaces, routes } = await guest.agent.call('NetworkDetails', {});

    expect(changes).toBe(0);
    expect(interfaces).toContainEqual(
      expect.objectContaining({
        name: 'net0',
        macAddress: MAC,
        mtu: 1400,
        addresses: expect.arrayContaining([`${GUEST}/32`]),
      }),
    );
    expect(interfaces).toContainEqual(expect.objectContaining({ name: 'eth0', macAddress: SECOND_MAC, down: true }));
    expect(routes).toContainEqual(expect.objectContaining({ destination: '', gateway: HOST, interface: 'net0' }));
  });

  test('does not show a card that is hidden, until it is named again', async () => {
    const [first] = NETWORK.interfaces;
    const others = { ...NETWORK, interfaces: NETWORK.interfaces.filter((one) => one === first) };
    await guest.agent.call('ConfigureNetwork', { ...others, hiddenMacAddresses: [SECOND_MAC] });
    const hidden = await guest.agent.call('NetworkDetails', {});

    await guest.agent.call('ConfigureNetwork', NETWORK);
    const shown = await guest.agent.call('NetworkDetails', {});

    const macs = ({ interfaces }: typeof shown) => interfaces.map(({ macAddress }) => macAddress);
    expect(macs(hidden)).not.toContain(SECOND_MAC);
    expect(macs(hidden)).toContain(MAC);
    expect(shown.interfaces).toContainEqual(expect.objectContaining({ name: 'eth0', macAddress: SECOND_MAC }));
  });

  test('has the files of the resolver, and sees when they change', async () => {
    const before = await shell('cat /etc/resolv.conf /etc/hosts');
    await guest.agent.call('ConfigureNetwork', { ...NETWORK, resolvConf: 'nameserver 192.0.2.54\n' });

    expect(before).toBe(`${NETWORK.resolvConf}${NETWORK.hosts}`);
    expect(await shell('cat /etc/resolv.conf')).toBe('nameserver 192.0.2.54\n');
  });
});

describe('the guest', () => {
  test('has settings of the kernel that programs, safety and other guests ask for', async () => {
    const names = [
      'fs/protected_symlinks',
      'fs/protected_hardlinks',
      'fs/protected_fifos',
      'fs/protected_regular',
      'vm/max_map_count',
      'vm/compaction_proactiveness',
      'vm/stat_interval',
    ];

    expect(await shell(`cd /proc/sys; cat ${names.join(' ')}`)).toBe('1\n1\n1\n2\n1048576\n0\n60\n');
  });

  test('takes processors into use that were not at its start, for containers too', async () => {
    const before = await guest.agent.call('GuestDetails', {});
    const processors = () => shell('grep -c ^processor /proc/cpuinfo; grep Cpus_allowed_list /proc/self/status');
    const first = await processors();
    const { cpusOnline, memoryBytes } = await guest.agent.call('OnlineResources', { cpus: 0, memory: true });

    expect(before.onlineCpus).toBe(1);
    expect(first).toMatch(/^1\n/);
    expect(cpusOnline).toBe(CPUS);
    expect(memoryBytes).toBe(before.memoryTotalBytes);
    expect((await guest.agent.call('GuestDetails', {})).onlineCpus).toBe(CPUS);
    expect(await processors()).toMatch(/^2\nCpus_allowed_list:\s+0-1\n/);
  });

  test('has the clock that it is given, forwards and back', async () => {
    const [past, future] = [1_700_000_000n, 1_900_000_000n];
    const seconds = async (time: bigint): Promise<bigint> => {
      await guest.agent.call('SetTime', { realtimeNs: time * 1_000_000_000n });
      return BigInt(await shell('date +%s')) - time;
    };

    for (const time of [future, past]) {
      const late = await seconds(time);
      expect(late).toBeGreaterThanOrEqual(0n);
      expect(late).toBeLessThan(60n);
    }
  });

  test('takes entropy', async () => {
    await guest.agent.call('AddEntropy', { entropy: crypto.getRandomValues(new Uint8Array(4096)) });
  });

  test('mounts another share, and says when there is none of that name', async () => {
    const request = { type: 'virtiofs', source: 'second', path: '/run/tskata/mounts/second', options: ['ro'] };
    await guest.agent.call('MountFilesystem', request);
    const { mounts } = await guest.agent.call('GuestDetails', {});
    await guest.agent.call('UnmountFilesystem', { path: request.path });

    expect(mounts).toEqual([ROOTS_PATH, request.path]);
    await expect(guest.agent.call('MountFilesystem', { ...request, source: 'third' })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('the VM has no share "third"'),
    });
    expect((await guest.agent.call('GuestDetails', {})).mounts).toEqual([ROOTS_PATH]);
  });
});

// The last one: it ends the guest.
test('a disk gets files, and is left clean when the guest ends', async () => {
  const path = '/run/tskata/mounts/disk';
  await guest.agent.call('MountFilesystem', { type: 'ext4', source: '/dev/vda', path, options: ['nosuid'] });
  const data = new TextEncoder().encode('on the disk\n');
  const content = { $case: 'data' as const, value: data };
  const rest = { mode: 0o640, uid: 1, gid: 2, offset: 0n, size: BigInt(data.length) };
  await guest.agent.call('CopyFile', { path: `${path}/folder/file`, content, ...rest });
  await machine.vm.shutdown('agent');

  expect(await machine.vm.stopped).toEqual({ kind: 'guest-reset' });
  const image = files.path('disk.img');
  const debugfs = (command: string): string =>
    execFileSync('/usr/sbin/debugfs', ['-R', command, image], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  expect(debugfs('cat folder/file')).toBe('on the disk\n');
  expect(debugfs('stat folder/file')).toMatch(/Mode: {2}0640[\s\S]*User: {5}1 {3}Group: {5}2/);
  expect(debugfs('show_super_stats -h')).not.toContain('needs_recovery');
  execFileSync('/usr/sbin/e2fsck', ['-n', '-f', image], { stdio: 'pipe' });
});
