// Taps of this machine's kernel; they are created here and go with their descriptors. As root.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, fstatSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, virtio_net_hdr_v1 } from '../devices/virtio/abi.gen.ts';
import { NO_OFFLOADS } from '../devices/virtio/net/offloads.ts';
import { HEADER_SIZE } from '../devices/virtio/net/packet.ts';
import { duplicateFd, OwnedFd } from '../ffi/fd.unsafe.ts';
import { Tap } from './tap.ts';

let count = 0;
function freshName(): string {
  count += 1;
  return `tsk${process.pid % 100_000}t${count}`;
}

const ETHERTYPE_IPV4 = 0x0800;

/** The next frame of IPv4 that the kernel sends to the tap, header included. */
async function nextIpv4(tap: Tap): Promise<Uint8Array> {
  const room = [new Uint8Array(5), new Uint8Array(20), new Uint8Array(70_000)];
  for (;;) {
    const length = tap.receive(room);
    const frame = Buffer.concat(room).subarray(0, length);
    if (length > HEADER_SIZE + 14 && frame.readUInt16BE(HEADER_SIZE + 12) === ETHERTYPE_IPV4) return frame;
    if (length > 0) continue;
    await new Promise<void>((resolve) => {
      tap.awaitFrames(() => {
        tap.awaitFrames(undefined);
        resolve();
      });
    });
  }
}

/** Gives a tap an address, and a neighbour that needs no ARP. @returns the neighbour's address */
function addressed(tap: Tap, subnet: number): string {
  execFileSync('ip', ['address', 'add', `198.51.100.${subnet + 1}/30`, 'dev', tap.name]);
  execFileSync('ip', ['neigh', 'add', `198.51.100.${subnet + 2}`, 'lladdr', '02:00:00:00:00:02', 'dev', tap.name]);
  return `198.51.100.${subnet + 2}`;
}

test('a tap that is not there is created, up, and goes with its owner', () => {
  const name = freshName();
  const tap = Tap.open(name, { mtu: 1400 });
  const link = execFileSync('ip', ['-o', 'link', 'show', name], { encoding: 'utf8' });
  tap[Symbol.dispose]();
  expect(link).toMatch(/<[^>]*\bUP\b/);
  expect(link).toContain('mtu 1400');
  expect(existsSync(`/sys/class/net/${name}`)).toBe(false);
});

test('a tap is new though another network namespace has one of this name', () => {
  using outside = Tap.open(freshName());
  const script = `
    const { Tap } = await import(${JSON.stringify(import.meta.resolve('./tap.ts'))});
    const { execFileSync } = await import('node:child_process');
    using tap = Tap.open('${outside.name}');
    execFileSync('ip', ['-o', 'link', 'show', tap.name], { stdio: 'inherit' });`;
  const command = ['--net', process.execPath, '--input-type=module', '--eval', script];
  expect(execFileSync('unshare', command, { encoding: 'utf8' })).toMatch(/<[^>]*\bUP\b/);
});

test('an MTU that no tap has is refused as such', () => {
  const name = freshName();
  expect(() => Tap.open(name, { mtu: 65_522 })).toThrow(`the tap ${name} cannot have an MTU of 65522: use up to 65521`);
  using tap = Tap.open(name, { mtu: 65_521 });
  expect(tap.name).toBe(name);
});

test('frames come with their checksums filled in until both ends agree otherwise', async () => {
  using tap = Tap.open(freshName());
  const peer = addressed(tap, 16);
  const socket = createSocket('udp4');
  const flagsOf = (frame: Uint8Array): number | undefined => frame[virtio_net_hdr_v1.flags];
  try {
    socket.send('first', 9, peer);
    const first = await nextIpv4(tap);
    tap.setOffloads({ ...NO_OFFLOADS, checksum: true });
    socket.send('second', 9, peer);
    const second = await nextIpv4(tap);
    expect(flagsOf(first)).toBe(0);
    expect(flagsOf(second)).toBe(VIRTIO_NET_HDR_F_NEEDS_CSUM);
    expect(Buffer.from(first).includes('first')).toBe(true);
    expect(Buffer.from(second).includes('second')).toBe(true);
  } finally {
    socket.close();
  }
});

test('a frame for the host arrives, and one without sense is dropped', async () => {
  using tap = Tap.open(freshName());
  const socket = createSocket('udp4');
  const received = Promise.withResolvers<string>();
  try {
    const peer = addressed(tap, 20);
    await new Promise<void>((resolve) => socket.bind(4000, '198.51.100.21', resolve));
    socket.on('message', (message) => received.resolve(message.toString()));
    socket.send('template', 4000, peer);
    const template = await nextIpv4(tap);
    const reply = answerTo(template);
    const broken = new Uint8Array(HEADER_SIZE).fill(0xff);
    expect(tap.send(broken, [reply])).toBe('dropped');
    expect(tap.send(new Uint8Array(HEADER_SIZE), [reply.subarray(0, 3), reply.subarray(3)])).toBe('sent');
    expect(await received.promise).toBe('template');
  } finally {
    socket.close();
  }
});

/** The same datagram back: addresses and ports swapped, without a UDP checksum. */
function answerTo(received: Uint8Array): Uint8Array {
  const frame = Buffer.from(received.subarray(HEADER_SIZE));
  const answer = Buffer.from(frame);
  const swap = (at: number, other: number, length: number): void => {
    frame.copy(answer, at, other, other + length);
    frame.copy(answer, other, at, at + length);
  };
  swap(0, 6, 6);
  swap(26, 30, 4);
  swap(34, 36, 2);
  answer.writeUInt16BE(4000, 36);
  answer.writeUInt16BE(0, 40);
  return answer;
}

test('a tap has one user, who is named to the next one', () => {
  using tap = Tap.open(freshName());
  expect(() => Tap.open(tap.name)).toThrow(`in use by process ${process.pid}: end it`);
});

test('an interface that is no tap is refused', () => {
  expect(() => Tap.open('lo')).toThrow('the interface lo is no tap of one queue');
});

test.each(['', 'a/b', 'a b', 'x'.repeat(16), 'tap%d'])('"%s" is no name of an interface', (name) => {
  expect(() => Tap.open(name)).toThrow('is no name of an interface');
});

test('an inherited descriptor is taken over', async () => {
  using given = Tap.open(freshName());
  const copy = duplicateFd(given.fd);
  using tap = Tap.adopt(copy.fd);
  expect(tap.name).toBe(given.name);
  expect(tap.fd).not.toBe(copy.fd);
});

test.each([
  ['/dev/null', 'is no tap'],
  ['/dev/net/tun', 'after TUNSETIFF'],
])('an inherited descriptor of %s is refused, and left open', (path, message) => {
  using other = new OwnedFd(openSync(path, 'r+'));
  expect(() => Tap.adopt(other.fd)).toThrow(message);
  expect(fstatSync(other.fd).isCharacterDevice()).toBe(true);
});

test('a tap that somebody removes says so', () => {
  using tap = Tap.open(freshName());
  execFileSync('ip', ['link', 'delete', tap.name]);
  expect(() => tap.receive([new Uint8Array(100)])).toThrow('was removed');
  expect(() => tap.send(new Uint8Array(HEADER_SIZE), [new Uint8Array(60)])).toThrow('was removed');
});
