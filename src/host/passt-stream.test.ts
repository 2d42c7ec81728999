import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HEADER_SIZE } from '../devices/virtio/net/packet.ts';
import { duplicateFd } from '../ffi/fd.unsafe.ts';
import { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import { PasstStream } from './passt-stream.ts';

let stack: DisposableStack;
let stream: PasstStream;
let passt: UnixConnection;

beforeEach(() => {
  stack = new DisposableStack();
  const [ours, theirs] = UnixConnection.pair(1000);
  stream = stack.use(new PasstStream(ours, 'passt'));
  passt = stack.use(theirs);
});

afterEach(() => stack.dispose());

/** A frame as passt sends it. */
function framed(...bytes: number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, bytes.length, ...bytes);
}

/** What of a frame comes in buffers of these sizes. */
function receive(...sizes: number[]): number[] | undefined {
  const buffers = sizes.map((size) => new Uint8Array(size));
  const length = stream.receive(buffers);
  return length === 0 ? undefined : [...Buffer.concat(buffers).subarray(HEADER_SIZE, length)];
}

describe('frames from passt', () => {
  test('come one by one behind an empty header', () => {
    passt.send(Buffer.concat([framed(1, 2, 3), framed(4)]));
    const room = new Uint8Array(64).fill(0xff);
    expect(stream.receive([room])).toBe(HEADER_SIZE + 3);
    expect([...room.subarray(0, HEADER_SIZE + 3)]).toEqual([...new Uint8Array(HEADER_SIZE), 1, 2, 3]);
    expect(receive(64)).toEqual([4]);
    expect(receive(64)).toBeUndefined();
  });

  test('fill buffers one after the other', () => {
    passt.send(framed(1, 2, 3, 4, 5));
    expect(receive(5, 9, 1, 9)).toEqual([1, 2, 3, 4, 5]);
  });

  test('lose what has no room', () => {
    passt.send(Buffer.concat([framed(1, 2, 3), framed(4)]));
    expect(receive(HEADER_SIZE + 2)).toEqual([1, 2]);
    expect(receive(64)).toEqual([4]);
  });

  test('wait for their last byte', () => {
    const bytes = framed(1, 2, 3);
    passt.send(bytes.subarray(0, 2));
    expect(receive(64)).toBeUndefined();
    passt.send(bytes.subarray(2, 6));
    expect(receive(64)).toBeUndefined();
    passt.send(bytes.subarray(6));
    expect(receive(64)).toEqual([1, 2, 3]);
  });

  test('are told, those that have come already too', async () => {
    passt.send(Buffer.concat([framed(1), framed(2), framed(3)]));
    expect(receive(64)).toEqual([1]);
    const received: (number[] | undefined)[] = [];
    await new Promise<void>((resolve) => {
      stream.awaitFrames(() => {
        received.push(receive(64));
        if (received.length === 1) return;
        stream.awaitFrames(undefined);
        resolve();
      });
    });
    expect(received).toEqual([[2], [3]]);
  });

  test('larger than any are refused', () => {
    passt.send(Uint8Array.of(0, 2, 0, 0));
    expect(() => receive(64)).toThrow('sent a frame of 131072 bytes');
  });

  test('larger than any are refused to who waits for the next one', async () => {
    passt.send(Uint8Array.of(...framed(1), 0, 2, 0, 0));
    expect(receive(64)).toEqual([1]);
    await new Promise<void>((resolve) => stream.awaitFrames(resolve));
    stream.awaitFrames(undefined);
    expect(() => receive(64)).toThrow('sent a frame of 131072 bytes');
  });
});

describe('frames for passt', () => {
  test('go behind their length', () => {
    expect(stream.send(new Uint8Array(HEADER_SIZE), [Uint8Array.of(1, 2), Uint8Array.of(3)])).toBe('sent');
    expect([...passt.receive(7).bytes]).toEqual([0, 0, 0, 3, 1, 2, 3]);
  });

  test('wait for room, and none is torn', async () => {
    const frame = Uint8Array.from({ length: 60_000 }, (_, index) => index % 251);
    const send = () => stream.send(new Uint8Array(HEADER_SIZE), [frame]);
    const arrives = () => Buffer.from(passt.receive(4 + frame.length).bytes.subarray(4)).equals(frame);
    let sent = 0;
    while (send() === 'sent') sent += 1;
    expect(sent).toBeGreaterThan(1);
    // The last one may have had no room for its end, which comes before the next one.
    for (let arrived = 1; arrived < sent; arrived++) expect(arrives()).toBe(true);
    await new Promise<void>((resolve) => stream.awaitRoom(resolve));
    stream.awaitRoom(undefined);
    expect(send()).toBe('sent');
    expect(arrives()).toBe(true);
    expect(arrives()).toBe(true);
  });

  test('come to their end by themselves', async () => {
    const frame = new Uint8Array(60_000).fill(7);
    let sent = 0;
    while (stream.send(new Uint8Array(HEADER_SIZE), [frame]) === 'sent') sent += 1;
    let missing = sent * (4 + frame.length);
    const socket = new Socket({ fd: duplicateFd(passt.fd).fd });
    await new Promise<void>((resolve) => {
      socket.on('data', ({ length }) => {
        missing -= length;
        if (missing <= 0) resolve();
      });
    });
    socket.destroy();
    expect(missing).toBe(0);
  });

  test('larger than passt takes are dropped', () => {
    const send = (size: number) => stream.send(new Uint8Array(HEADER_SIZE), [new Uint8Array(size)]);
    expect(send(65_536)).toBe('dropped');
    expect(send(65_535)).toBe('sent');
    expect([...passt.receive(4).bytes]).toEqual([0, 0, 0xff, 0xff]);
  });

  test('of more buffers than the kernel takes in one call go too', () => {
    const buffers = Array.from({ length: 1024 }, () => Uint8Array.of(7));
    expect(stream.send(new Uint8Array(HEADER_SIZE), buffers)).toBe('sent');
    expect(
      passt
        .receive(4 + 1024)
        .bytes.subarray(4)
        .every((byte) => byte === 7),
    ).toBe(true);
  });
});

test('a passt that has gone is told with its name', () => {
  passt[Symbol.dispose]();
  expect(() => receive(64)).toThrow('passt, closed the connection');
  expect(() => stream.send(new Uint8Array(HEADER_SIZE), [Uint8Array.of(1)])).toThrow('passt, closed the connection');
});
