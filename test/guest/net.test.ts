// Networks of real guests on taps: what arrives, both ways, with checksums and segmentation left to the other end.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
} from '../../src/devices/virtio/abi.gen.ts';
import { MIB } from '../../src/lib/units.ts';
import { boot, KERNEL, librariesOf, QUIET, start, useGuestFiles } from './tsvm-harness.ts';

const TAP = 'tsvm-test0';
const HOST = '192.0.2.1';
const GUEST = '192.0.2.2';
const UPLOAD_PORT = 5001;
const DOWNLOAD_PORT = 5002;
const ECHO_PORT = 5003;
const STREAM_SIZE = 4 * MIB;
const DOWNLOAD = randomBytes(STREAM_SIZE);
/** What lets checksums and segments be left to the other end, in both directions. */
const UNFINISHED_FRAMES = [
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
];
/** One datagram, in many fragments. */
const DATAGRAM_SIZE = 60_000;

const files = useGuestFiles();

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A program of this machine with its libraries, for an initramfs. */
function withLibraries(path: string): Record<string, string> {
  return Object.fromEntries([path, ...librariesOf(path)].map((file) => [file, realpathSync(file)]));
}

/** Commands of a guest that give its first card an address. */
const ADDRESS = `ip address add ${GUEST}/24 dev eth0; ip link set eth0 up`;

describe('a tap that is there', () => {
  /** What the guest sent, by SHA-256. */
  const uploads: string[] = [];
  const servers: Server[] = [];
  let echo: DatagramSocket;

  beforeAll(async () => {
    execFileSync('ip', ['tuntap', 'add', 'dev', TAP, 'mode', 'tap']);
    execFileSync('ip', ['address', 'add', `${HOST}/24`, 'dev', TAP]);
    execFileSync('ip', ['link', 'set', TAP, 'up']);
    const upload = createServer((socket) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk) => hash.update(chunk));
      socket.on('end', () => uploads.push(hash.digest('hex')));
      socket.on('end', () => socket.end());
    });
    const download = createServer((socket) => void socket.end(DOWNLOAD));
    servers.push(upload.listen(UPLOAD_PORT, HOST), download.listen(DOWNLOAD_PORT, HOST));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    echo = createSocket('udp4');
    echo.on('message', (message, { port, address }) => echo.send(message, port, address));
    echo.bind(ECHO_PORT, HOST);
    await once(echo, 'listening');
  });
  afterAll(() => {
    for (const server of servers) server.close();
    echo.close();
    execFileSync('ip', ['link', 'delete', TAP]);
  });

  test.each(['', ',vhost=on'])('carries ICMP, TCP and UDP both ways%s', async (vhost) => {
    const script = `mkdir /tmp; ${ADDRESS}
cat /sys/class/net/eth0/address; echo "carrier=$(cat /sys/class/net/eth0/carrier)"
ping -c 3 ${HOST} | grep received
head -c ${STREAM_SIZE} /dev/urandom > /tmp/up
echo "up=$(sha256sum < /tmp/up)"
socat -u -b 65536 OPEN:/tmp/up TCP:${HOST}:${UPLOAD_PORT}
echo "down=$(nc ${HOST} ${DOWNLOAD_PORT} < /dev/null | sha256sum)"
for size in 1400 ${DATAGRAM_SIZE}; do
  head -c $size /tmp/up > /tmp/datagram
  socat -b 65507 -t 3 - UDP:${HOST}:${ECHO_PORT} < /tmp/datagram > /tmp/back
  cmp /tmp/datagram /tmp/back && echo "echo $size"
done
echo "features=$(cat /sys/class/net/eth0/device/features)"`;
    const mac = '02:00:5e:00:00:01';

    const { status, stdout } = await boot(
      files.initramfs(`tap${vhost}`, script, withLibraries('/usr/bin/socat')),
      '--net',
      `tap=${TAP},mac=${mac}${vhost}`,
    );

    expect(stdout).toContain(mac);
    expect(stdout).toContain('carrier=1');
    expect(stdout).toContain('3 packets received');
    expect(uploads.pop()).toBe(/up=([0-9a-f]{64})/.exec(stdout)?.[1]);
    expect(stdout).toContain(`down=${digest(DOWNLOAD)}`);
    for (const size of [1400, DATAGRAM_SIZE]) expect(stdout).toContain(`echo ${size}`);
    const features = /features=([01]+)/.exec(stdout)?.[1] ?? '';
    expect(UNFINISHED_FRAMES.map((bit) => features[bit])).toEqual(UNFINISHED_FRAMES.map(() => '1'));
    expect(status).toBe(0);
  });

  test('is refused while another VM has it, which is named', async () => {
    const first = start([
      ...['boot', '--kernel', KERNEL, '--initrd', files.initramfs('first', 'echo READY; sleep 1000')],
      ...['--cmdline', QUIET, '--net', `tap=${TAP}`],
    ]);
    await first.printed('READY');
    const second = await boot(files.initramfs('second', 'true'), '--net', `tap=${TAP}`);
    first.kill();
    await first.ended;

    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`the tap ${TAP} is in use by process ${first.pid}: end it, or use another tap`);
  });
});

test('a tap that is not there is made for the VM, with its MTU, and goes with it', async () => {
  const name = 'tsvm-test1';
  const script = `${ADDRESS}
echo READY; until ping -c 1 -W 1 ${HOST}; do true; done; ping -c 1 -s 8000 ${HOST} && echo "mtu=$(cat /sys/class/net/eth0/mtu)"`;
  const child = start([
    ...['boot', '--kernel', KERNEL, '--initrd', files.initramfs('made', script), '--cmdline', QUIET],
    ...['--net', `tap=${name},mtu=9000`, '--timeout', '120'],
  ]);
  await child.printed('READY');
  execFileSync('ip', ['address', 'add', `${HOST}/24`, 'dev', name]);
  const link = execFileSync('ip', ['-o', 'link', 'show', name], { encoding: 'utf8' });

  const { status, stdout } = await child.ended;

  expect(link).toContain('mtu 9000');
  expect(stdout).toContain('mtu=9000');
  expect(status).toBe(0);
  expect(existsSync(`/sys/class/net/${name}`)).toBe(false);
});

test('a card without a network has an address and no carrier', async () => {
  const script =
    'ip link set eth0 up; cat /sys/class/net/eth0/address; echo "carrier=$(cat /sys/class/net/eth0/carrier)"';

  const { stdout } = await boot(files.initramfs('none', script), '--net', 'none');

  expect(stdout).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}/m);
  expect(stdout).toContain('carrier=0');
});
