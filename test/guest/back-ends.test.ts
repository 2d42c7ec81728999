// Back ends outside the VMM's process, with real guests: virtiofsd, qemu-storage-daemon, passt, and the kernel's vhost.
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { awaitAgent } from '../../src/agent-client/await-agent.ts';
import { VIRTIO_VSOCK_OP_REQUEST } from '../../src/devices/virtio/abi.gen.ts';
import { MockMachine, type MockMachineOptions } from '../../src/devices/virtio/testing/mock-driver.ts';
import { VSOCK_QUEUE } from '../../src/devices/virtio/vsock/device.ts';
import { decodeHeader, type PacketHeader } from '../../src/devices/virtio/vsock/request.ts';
import { VhostVsockDevice } from '../../src/devices/virtio/vsock/vhost-device.ts';
import { EventFd } from '../../src/ffi/eventfd.unsafe.ts';
import { mapAnonymous } from '../../src/ffi/memory.unsafe.ts';
import type { MappedMemory } from '../../src/host/vhost.ts';
import { VhostVsock } from '../../src/host/vhost-vsock.ts';
import { guestAddress } from '../../src/lib/brand.ts';
import { MIB } from '../../src/lib/units.ts';
import { GuestMemory } from '../../src/memory/guest-memory.ts';
import { AGENT_RPC_PORT } from '../../src/protocol/agent-service.ts';
import { boot, INITRAMFS, KERNEL, librariesOf, processesNaming, QUIET, start, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
let stack: AsyncDisposableStack;

beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

describe('a disk of another format', () => {
  test('is read and written in the image', async () => {
    const image = files.path('disk,1.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '64M']);
    const script = `cat /sys/block/vda/size /sys/block/vda/ro
printf 'written by the guest' | dd of=/dev/vda bs=512 seek=3 conv=fsync,notrunc
echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=512 skip=3 count=1 | head -c 20; echo`;

    const { status, stdout } = await boot(
      files.initramfs('qcow2', script),
      '--disk',
      `path=${image.replaceAll(',', ',,')},format=qcow2`,
    );

    expect(stdout).toMatch(/131072\s+0/);
    expect(stdout).toContain('written by the guest');
    expect(status).toBe(0);
    const raw = files.path('disk.raw');
    execFileSync('qemu-img', ['convert', '-O', 'raw', image, raw]);
    expect(readFileSync(raw).subarray(1536, 1556).toString()).toBe('written by the guest');
    expect(processesNaming(image)).toEqual([]);
  });

  test('that is read-only cannot be written to', async () => {
    const image = files.path('readonly.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1M']);
    const before = readFileSync(image);
    const script = 'cat /sys/block/vda/ro; dd if=/dev/zero of=/dev/vda bs=512 count=1 || echo refused';

    const { stdout } = await boot(files.initramfs('qcow2-ro', script), '--disk', `${image},format=qcow2,ro`);

    expect(stdout).toMatch(/1\s[\s\S]*refused/);
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  test('that is none is refused with what qemu-storage-daemon says', async () => {
    const image = files.path('none.qcow2');
    writeFileSync(image, 'no image');

    const { status, stderr } = await boot(files.initramfs('qcow2-none', ''), '--disk', `${image},format=qcow2`);

    expect(status).toBe(1);
    expect(stderr).toContain('qemu-storage-daemon');
    expect(stderr).toContain('qcow2 format');
  });
});

describe('a share', () => {
  test('that is read-only refuses writes, beside one that does not', async () => {
    const [readOnly, writable] = [files.path('ro'), files.path('rw')];
    mkdirSync(readOnly);
    mkdirSync(writable);
    writeFileSync(`${readOnly}/file`, 'as it was');
    const script = `mkdir /a /b; mount -t virtiofs first /a; mount -t virtiofs second /b
cat /a/file; echo; echo changed > /a/file || echo refused1; rm /a/file || echo refused2; touch /a/new || echo refused3
chmod 777 /a/file || echo refused4; echo -n yes > /b/file`;

    const { stdout } = await boot(
      files.initramfs('ro-share', script),
      '--share',
      `first=${readOnly},ro`,
      '--share',
      `second=${writable},cache=never`,
    );

    expect(stdout).toContain('as it was');
    for (const refusal of ['refused1', 'refused2', 'refused3', 'refused4']) expect(stdout).toContain(refusal);
    expect(readdirSync(readOnly)).toEqual(['file']);
    expect(readFileSync(`${readOnly}/file`, 'utf8')).toBe('as it was');
    expect(readFileSync(`${writable}/file`, 'utf8')).toBe('yes');
  });

  test('whose virtiofsd is killed ends the VM, with its name', async () => {
    const shared = files.path('doomed');
    mkdirSync(shared);
    const initrd = files.initramfs('doomed', 'echo READY; sleep 1000');
    const child = start(['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, '--share', `d=${shared}`]);
    await child.printed('READY');
    process.kill(virtiofsdOf(shared), 'SIGKILL');

    const { status, stderr } = await child.ended;

    expect(status).toBe(1);
    expect(stderr).toContain(`virtiofsd, serving ${shared}, ended (SIGKILL)`);
  });

  test('leaves neither process nor file of a VMM that is killed', async () => {
    const shared = files.path('killed');
    const image = files.path('killed.qcow2');
    mkdirSync(shared);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1M']);
    const before = readdirSync(tmpdir());
    const initrd = files.initramfs('killed', 'echo READY; sleep 1000');
    const devices = ['--share', `d=${shared}`, '--disk', `${image},format=qcow2`, '--net', 'passt,tcp=18123:80'];
    const child = start(['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, ...devices]);
    await child.printed('READY');
    expect(processesNaming(shared).some((line) => line.includes('virtiofsd'))).toBe(true);
    expect(processesNaming('18123:80').some((line) => line.includes('passt'))).toBe(true);
    child.kill('SIGKILL');
    await child.ended;

    const left = () => [shared, image, '18123:80'].flatMap((name) => processesNaming(name));
    await expect.poll(left, { timeout: 10_000 }).toEqual([]);
    expect(readdirSync(tmpdir())).toEqual(before);
  });
});

/** The process that serves a folder. */
function virtiofsdOf(folder: string): number {
  const pid = readdirSync('/proc').find((name) => {
    const path = `/proc/${name}/cmdline`;
    if (!/^\d+$/.test(name) || !existsSync(path)) return false;
    const commandLine = readFileSync(path, 'utf8');
    return commandLine.includes('virtiofsd') && commandLine.includes(`=${folder}`);
  });
  return Number(pid);
}

describe('vhost-vsock', () => {
  test("connects the guest's agent with an AF_VSOCK socket of the host", async () => {
    const path = files.path('agent.sock');
    const server = createServer().listen(path);
    stack.defer(() => void server.close());
    const listener = spawn('socat', [`VSOCK-LISTEN:${AGENT_RPC_PORT}`, `UNIX-CONNECT:${path}`], { stdio: 'inherit' });
    stack.defer(() => void listener.kill());
    const images = ['--kernel', KERNEL, '--initrd', INITRAMFS, '--cmdline', 'reboot=k panic=-1 quiet 8250.nr_uarts=0'];
    const { ended } = start(['boot', ...images, '--no-serial', '--vsock', '77,vhost=on', '--timeout', '120']);
    const { agent, details } = await awaitAgent(server, () => ({
      realtimeNs: BigInt(Date.now()) * 1_000_000n,
      entropy: new Uint8Array(32),
      sharedTag: '',
    }));
    await agent.call('Shutdown', {});
    const { status } = await ended;

    expect(details.kernelRelease).toContain('tskata');
    expect(status).toBe(0);
  });

  test('serves nothing at rest, and goes on where it stood, in another VM too', async () => {
    const guest = new VsockGuest(79);
    guest.offerBuffers(4);
    const first = guest.connectFromHost(1000);
    expect(await guest.nextRequest()).toMatchObject({ destinationPort: 1000 });
    await guest.machine.transport.quiesce();
    const second = guest.connectFromHost(1001);
    await sleep(300);
    expect(guest.takeRequests()).toEqual([]);
    guest.machine.transport.resume();
    expect(await guest.nextRequest()).toMatchObject({ destinationPort: 1001 });
    first.kill();
    second.kill();

    await guest.move();
    guest.connectFromHost(1002);

    expect(await guest.nextRequest()).toMatchObject({ destinationPort: 1002 });
    expect(guest.machine.failures).toEqual([]);
  });

  test('refuses an address that another guest has', async () => {
    const initrd = files.initramfs('cid', 'echo READY; read line');
    const args = ['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, '--vsock', '78,vhost=on'];
    const first = start([...args, '--timeout', '120'], 'pipe');
    await first.printed('READY');

    const { status, stderr } = await start(args).ended;
    first.stdin?.write('done\n');

    expect(status).toBe(1);
    expect(stderr).toContain('another guest of this host has the vsock address 78');
    expect((await first.ended).status).toBe(0);
  });
});

/** A driver in memory on the kernel's vhost-vsock, whose machine can be moved. */
class VsockGuest {
  machine: MockMachine;
  readonly #cid: number;
  readonly #memory: GuestMemory;
  readonly #mapped: readonly MappedMemory[];
  readonly #bells = [0, 1, 2].map(() => stack.use(new EventFd()));
  readonly #call = stack.use(new EventFd());
  #backend: VhostVsock;

  constructor(cid: number) {
    this.#cid = cid;
    const mapping = stack.use(mapAnonymous(4 * MIB, 'guest'));
    this.#memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: mapping.bytes }]);
    this.#mapped = [{ guestAddress: 0, size: 4 * MIB, hostAddress: mapping.address }];
    this.#backend = this.#open();
    this.machine = new MockMachine(this.#device(), this.#options());
    stack.defer(() => this.machine.transport[Symbol.dispose]());
    this.machine.driver.start({ queueSize: 16 });
  }

  offerBuffers(count: number): void {
    for (let buffer = 0; buffer < count; buffer++) this.machine.driver.queue(VSOCK_QUEUE.rx).push({ write: 4096 });
    this.#bells[VSOCK_QUEUE.rx]?.signal();
  }

  connectFromHost(port: number): ReturnType<typeof spawn> {
    const socat = spawn('socat', ['-', `VSOCK-CONNECT:${this.#cid}:${port}`], { stdio: 'ignore' });
    stack.defer(() => void socat.kill());
    return socat;
  }

  /** The host's requests for connections that have arrived. */
  takeRequests(): PacketHeader[] {
    return this.machine.driver
      .queue(VSOCK_QUEUE.rx)
      .takeUsed()
      .map(({ bytes }) => decodeHeader(bytes))
      .filter(({ operation }) => operation === VIRTIO_VSOCK_OP_REQUEST);
  }

  async nextRequest(): Promise<PacketHeader | undefined> {
    let packet: PacketHeader | undefined;
    await expect
      .poll(
        () => {
          [packet] = this.takeRequests();
          return packet;
        },
        { timeout: 10_000 },
      )
      .toBeDefined();
    return packet;
  }

  /** Takes a snapshot, ends the device, and goes on with another one. */
  async move(): Promise<void> {
    await this.machine.transport.quiesce();
    const snapshot = JSON.stringify(this.machine.transport.saveState());
    this.machine.transport[Symbol.dispose]();
    this.#backend[Symbol.dispose]();
    this.#backend = this.#open();
    this.machine = new MockMachine(this.#device(), { ...this.#options(), driver: this.machine.driver });
    this.machine.transport.restoreState(JSON.parse(snapshot));
    this.machine.transport.resume();
  }

  #open(): VhostVsock {
    return stack.use(new VhostVsock({ guestCid: this.#cid, memory: this.#mapped }));
  }

  #device(): VhostVsockDevice {
    return new VhostVsockDevice({ guestCid: this.#cid, backend: this.#backend });
  }

  #options(): MockMachineOptions {
    const call = this.#call;
    return {
      memory: this.#memory,
      eventFds: (queue) => ({ kick: (this.#bells[queue] ?? call).fd, call: call.fd }),
      ringBell: (queue) => this.#bells[queue]?.signal(),
    };
  }
}

/** What passt gives a guest of a host without a network, and how that reaches the host's own loopback. */
const GUEST = '169.254.2.1/16';
const HOST = '169.254.2.2';
const UP = `ip addr add ${GUEST} dev eth0; ip link set eth0 up; ip link set lo up; ip route add default via ${HOST}`;

describe.each([
  ['vhost-user', ''],
  ['stream', ',tx-rate=1G,rx-rate=1G'],
])('passt over %s', (name, limits) => {
  test('takes the guest to the host and the host to the guest, by TCP and UDP', async () => {
    const server = createServer((socket) => socket.end('from the host by TCP\n')).listen(18080, '127.0.0.1');
    stack.defer(() => void server.close());
    const datagrams = createSocket('udp4');
    stack.defer(() => void datagrams.close());
    datagrams.bind(18081, '127.0.0.1');
    datagrams.on('message', (_message, { port, address }) => datagrams.send('from the host by UDP\n', port, address));
    const script = `${UP}
nc ${HOST} 18080 < /dev/null
echo hello | socat -t 10 - UDP4:${HOST}:18081
echo LISTENING
echo 'from the guest by TCP' | nc -l -p 80
socat -T 20 UDP4-RECVFROM:81 SYSTEM:'echo from the guest by UDP'`;
    const initrd = files.initramfs(`passt-${name}`, script, withLibraries('/usr/bin/socat'));
    const ports = 'tcp=127.0.0.1/18082:80,udp=127.0.0.1/18083:81';
    const network = ['--net', `passt,${ports}${limits}`];
    const child = start([
      'boot',
      '--kernel',
      KERNEL,
      '--initrd',
      initrd,
      '--cmdline',
      QUIET,
      '--timeout',
      '120',
      ...network,
    ]);
    await child.printed('LISTENING');

    const tcp = await fromGuest(18082);
    const udp = await datagramFromGuest(18083);
    const { stdout, stderr } = await child.ended;

    expect(stderr).toBe('');
    expect(stdout).toContain('from the host by TCP');
    expect(stdout).toContain('from the host by UDP');
    expect(tcp).toContain('from the guest by TCP');
    expect(udp).toContain('from the guest by UDP');
  });
});

test('a network of vhost-net reaches the host', async () => {
  execFileSync('ip', ['tuntap', 'add', 'dev', 'vhosttap', 'mode', 'tap', 'vnet_hdr']);
  stack.defer(() => void execFileSync('ip', ['tuntap', 'del', 'dev', 'vhosttap', 'mode', 'tap']));
  execFileSync('ip', ['addr', 'add', '10.77.0.1/24', 'dev', 'vhosttap']);
  execFileSync('ip', ['link', 'set', 'vhosttap', 'up']);
  const payload = Buffer.alloc(4 << 20, 'vhost-net ');
  const server = createServer((socket) => socket.end(payload)).listen(18090, '10.77.0.1');
  stack.defer(() => void server.close());
  const script =
    'ip addr add 10.77.0.2/24 dev eth0; ip link set eth0 up; nc 10.77.0.1 18090 < /dev/null > /data; md5sum < /data';

  const { stdout } = await boot(files.initramfs('vhost-net', script), '--net', 'tap=vhosttap,vhost=on');

  const sum = execFileSync('md5sum', { input: payload, encoding: 'utf8' }).split(' ')[0] ?? '';
  expect(stdout).toContain(sum);
});

test('a guest with all of these goes on from a snapshot, its files still open', async () => {
  const [shared, image, snapshot, api] = ['kept', 'kept.qcow2', 'snapshot', 'api.sock'].map(files.path);
  mkdirSync(shared ?? '');
  writeFileSync(`${shared}/file`, 'first line\nsecond line\n');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image ?? '', '16M']);
  const server = createServer((socket) => socket.end('from the host\n')).listen(18080, '127.0.0.1');
  stack.defer(() => void server.close());
  const script = `${UP}
mount -t virtiofs data /mnt; exec 3< /mnt/file; read line <&3; echo "before=$line"
printf 'before the snapshot' | dd of=/dev/vda bs=512 seek=1 conv=fsync,notrunc
echo READY
while [ ! -e /mnt/go ]; do sleep 1; done
read line <&3; echo "after=$line"
echo -n yes > /mnt/written
dd if=/dev/vda bs=512 skip=1 count=1 iflag=direct | head -c 19; echo
printf 'after the snapshot' | dd of=/dev/vda bs=512 seek=2 conv=fsync,notrunc
nc ${HOST} 18080 < /dev/null`;
  const initrd = files.initramfs('kept', script);
  const devices = ['--share', `data=${shared}`, '--disk', `${image},format=qcow2`, '--net', 'passt'];
  const images = ['--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET];
  const first = start(['boot', ...images, ...devices, '--vsock', '80,vhost=on', '--api-socket', api ?? '']);
  await first.printed('READY');
  const control = ['ctl', '--api-socket', api ?? ''];
  expect((await start([...control, 'snapshot', '--pause', snapshot ?? '']).ended).stderr).toBe('');
  await start([...control, 'kill']).ended;
  const before = await first.ended;
  writeFileSync(`${shared}/go`, '');

  const { status, stdout, stderr } = await start(['restore', snapshot ?? '', '--timeout', '120']).ended;

  expect(before.stdout).toContain('before=first line');
  expect(stderr).toBe('');
  expect(stdout).toContain('after=second line');
  expect(readFileSync(`${shared}/written`, 'utf8')).toBe('yes');
  expect(stdout).toContain('before the snapshot');
  expect(stdout).toContain('from the host');
  expect(status).toBe(0);
  const raw = files.path('kept.raw');
  execFileSync('qemu-img', ['convert', '-O', 'raw', image ?? '', raw]);
  expect(readFileSync(raw).subarray(1024, 1042).toString()).toBe('after the snapshot');
});

/** A program and the libraries that it is linked with, for an initramfs. */
function withLibraries(program: string): Record<string, string> {
  return Object.fromEntries([program, ...librariesOf(program)].map((path) => [path.slice(1), path]));
}

/** All that the guest sends over a connection to this port of the host; passt takes it before the guest listens. */
async function fromGuest(port: number): Promise<string> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(socket, 'close').catch(() => undefined);
    if (text !== '') return text;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return '';
}

/** The first datagram that the guest answers with at this port of the host. */
async function datagramFromGuest(port: number): Promise<string> {
  const socket = createSocket('udp4');
  using _closed = { [Symbol.dispose]: () => socket.close() };
  const answered = once(socket, 'message');
  const timer = setInterval(() => socket.send('ping\n', port, '127.0.0.1'), 200);
  using _stopped = { [Symbol.dispose]: () => clearInterval(timer) };
  const [message] = (await answered) as [Buffer];
  return message.toString();
}
