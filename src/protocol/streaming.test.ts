// Streaming calls between our client and our server, and between each and a peer that does as it likes.
import { describe, expect, test } from 'vitest';
import { Empty, StartContainerRequest, WaitProcessResponse } from './agent.gen.ts';
import { ByteBudget } from './byte-budget.ts';
import type { ByteStream, Timers } from './byte-stream.ts';
import { STREAM_BACKLOG_MAX, TtrpcClient } from './client.ts';
import { encodeFrame, type Frame, FrameDecoder, FrameFlag, MessageType } from './frame.ts';
import { ItemQueue } from './item-queue.ts';
import { memoryConnection } from './memory-stream.ts';
import { CALLS_MAX, MethodTable, serveConnection } from './server.ts';
import { method, type StreamHandler, serverStream } from './service.ts';
import { StatusCode, StatusError } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

const service = {
  name: 'test.Service',
  methods: { Watch: serverStream(StartContainerRequest, WaitProcessResponse), Nothing: method(Empty, Empty) },
} as const;

type Watch = StreamHandler<StartContainerRequest, WaitProcessResponse>;
const noTimers: Timers = { after: () => () => {} };
const item = (exitStatus: number): WaitProcessResponse => ({ exitStatus, signal: 0, coreDumped: false });
const request = { containerId: 'c' };
const nothing = new Uint8Array(0);
const END = FrameFlag.REMOTE_CLOSED | FrameFlag.NO_DATA;

function serving(watch: Watch): { served: Promise<void>; peer: ByteStream } {
  const [peer, serverEnd] = memoryConnection();
  const table = new MethodTable().add(service, { Watch: watch, Nothing: async () => ({}) });
  return { served: serveConnection(serverEnd, table), peer };
}

function connected(watch: Watch): { client: TtrpcClient; served: Promise<void>; peer: ByteStream } {
  const { served, peer } = serving(watch);
  return { client: new TtrpcClient(peer, noTimers), served, peer };
}

function envelope(methodName: string): Uint8Array {
  const payload = StartContainerRequest.encode(request);
  return Request.encode({ service: service.name, method: methodName, payload, timeoutNano: 0n, metadata: [] });
}

/** Reads `count` frames. */
async function frames(stream: ByteStream, count: number): Promise<Frame[]> {
  const decoder = new FrameDecoder();
  const seen: Frame[] = [];
  while (seen.length < count) seen.push(...decoder.push((await stream.read()) ?? nothing));
  return seen;
}

const seenBy = ({ streamId, type, flags }: Frame) => ({ streamId, type, flags });
const statusOf = (frame: Frame | undefined) => Response.decode(frame?.payload ?? nothing).status?.code;

describe('a streaming call', () => {
  test('carries its request there and each item back, and ends with the last', async () => {
    const { client } = connected(async function* ({ containerId }) {
      yield item(containerId.length);
      yield item(2);
    });
    const taken = [];
    for await (const next of client.stream(service, 'Watch', { containerId: 'four' })) taken.push(next);
    expect(taken).toEqual([item(4), item(2)]);
  });

  test('fails with what the handler threw, after the items before it', async () => {
    const { client } = connected(async function* () {
      yield item(1);
      throw new StatusError('NOT_FOUND', 'no such thing');
    });
    const items = client.stream(service, 'Watch', request);
    expect(await items.next()).toEqual({ done: false, value: item(1) });
    await expect(items.next()).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'no such thing' });
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  test('fails with what the handler threw before there was anything to read', async () => {
    const { client } = connected(() => {
      throw new StatusError('INVALID_ARGUMENT', 'not like this');
    });
    await expect(client.stream(service, 'Watch', request).next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('of a method that the server does not know fails with UNIMPLEMENTED', async () => {
    const { client } = connected(() => new ItemQueue(1));
    const other = { name: 'test.Service', methods: { Fly: serverStream(Empty, Empty) } };
    await expect(client.stream(other, 'Fly', {}).next()).rejects.toMatchObject({ code: 'UNIMPLEMENTED' });
  });

  test('leaves other calls alone', async () => {
    const { client } = connected(() => new ItemQueue(1));
    void client.stream(service, 'Watch', request).next();
    expect(await client.call(service, 'Nothing', {})).toEqual({});
  });

  test('that its reader leaves lets the handler go, and both ends forget it', async () => {
    let left = (): void => {};
    const leaving = new Promise<void>((resolve) => (left = resolve));
    const { client } = connected(() => {
      const queue = new ItemQueue<WaitProcessResponse>(1, () => left());
      queue.push(item(1));
      return queue;
    });
    for await (const _ of client.stream(service, 'Watch', request)) break;
    await leaving;
    expect(await client.call(service, 'Nothing', {})).toEqual({});
  });

  test('that its reader left frees its place for another call', async () => {
    const { client } = connected(() => new ItemQueue(1));
    for (let index = 0; index < CALLS_MAX + 10; index++) await client.stream(service, 'Watch', request).return?.();
    expect(await client.call(service, 'Nothing', {})).toEqual({});
  });

  test('fails with the connection, and the handler is let go', async () => {
    let left = (): void => {};
    const leaving = new Promise<void>((resolve) => (left = resolve));
    const { client, peer, served } = connected(() => new ItemQueue<WaitProcessResponse>(1, () => left()));
    const next = client.stream(service, 'Watch', request).next();
    await client.call(service, 'Nothing', {});
    peer.close();
    await expect(next).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await leaving;
    await served;
  });

  test('cannot be made on a connection that is gone', async () => {
    const { client } = connected(() => new ItemQueue(1));
    client.close();
    expect(() => client.stream(service, 'Watch', request)).toThrow(expect.objectContaining({ code: 'CANCELLED' }));
  });
});

describe('the server', () => {
  test('asks for the next item only when the one before was written', async () => {
    let asked = 0;
    const table = new MethodTable().add(service, {
      Nothing: async () => ({}),
      Watch: async function* () {
        for (; asked < 5; asked++) yield item(asked);
      },
    });
    const writes: (() => void)[] = [];
    const sent: Uint8Array[] = [encodeFrame(1, MessageType.REQUEST, envelope('Watch'), FrameFlag.REMOTE_CLOSED)];
    const stuck: ByteStream = {
      read: () => (sent.length > 0 ? Promise.resolve(sent.shift()) : new Promise(() => {})),
      write: () => new Promise((resolve) => writes.push(resolve)),
      close: () => {},
    };
    void serveConnection(stuck, table);
    await expect.poll(() => writes.length).toBe(1);
    expect(asked).toBe(0);
    writes[0]?.();
    await expect.poll(() => writes.length).toBe(2);
    expect(asked).toBe(1);
  });

  // PROTOCOL.md, "Non-Unary State Diagrams".
  test.each([
    ['that closed its side', FrameFlag.REMOTE_CLOSED],
    ['that kept its side open', FrameFlag.REMOTE_OPEN],
    ['that says nothing of streams', 0],
  ])('sends data, then data that closes, to a caller %s', async (_what, flags) => {
    const { peer } = serving(async function* () {
      yield item(0);
    });
    await peer.write(encodeFrame(1, MessageType.REQUEST, envelope('Watch'), flags));
    const seen = await frames(peer, 2);
    expect(seen.map(seenBy)).toEqual([
      { streamId: 1, type: MessageType.DATA, flags: 0 },
      { streamId: 1, type: MessageType.DATA, flags: END },
    ]);
  });

  test("closes its side when the caller's half-close says that it has had enough", async () => {
    const { peer } = serving(() => new ItemQueue(1));
    await peer.write(encodeFrame(1, MessageType.REQUEST, envelope('Watch'), FrameFlag.REMOTE_OPEN));
    await peer.write(encodeFrame(1, MessageType.DATA, nothing, END));
    expect((await frames(peer, 1)).map(seenBy)).toEqual([{ streamId: 1, type: MessageType.DATA, flags: END }]);
  });

  test.each([
    ['data on a stream that never was', [encodeFrame(9, MessageType.DATA, nothing, END)]],
    ['data on a unary stream', [encodeFrame(1, 1, envelope('Nothing')), encodeFrame(1, MessageType.DATA, nothing)]],
    ['a stream id that was used', [encodeFrame(1, 1, envelope('Watch')), encodeFrame(1, 1, envelope('Watch'))]],
    ['a stream id below the last', [encodeFrame(5, 1, envelope('Watch')), encodeFrame(3, 1, envelope('Watch'))]],
    ['an even stream id', [encodeFrame(2, 1, envelope('Watch'))]],
    ['even data', [encodeFrame(2, MessageType.DATA, nothing)]],
    [
      'data after the request closed the stream',
      [encodeFrame(1, 1, envelope('Watch'), FrameFlag.REMOTE_CLOSED), encodeFrame(1, MessageType.DATA, nothing, END)],
    ],
    [
      'a second message',
      [encodeFrame(1, 1, envelope('Watch'), FrameFlag.REMOTE_OPEN), encodeFrame(1, MessageType.DATA, envelope('x'))],
    ],
    [
      'an open half with neither data nor end',
      [encodeFrame(1, 1, envelope('Watch'), FrameFlag.REMOTE_OPEN), encodeFrame(1, MessageType.DATA, nothing)],
    ],
  ])('answers %s with INVALID_ARGUMENT, sends nothing after it, and goes on', async (_what, sent) => {
    const { peer } = serving(() => new ItemQueue(1));
    for (const bytes of sent) await peer.write(bytes);
    await peer.write(encodeFrame(11, MessageType.REQUEST, envelope('Nothing')));
    const streams = new Map<number, (number | undefined)[]>();
    const decoder = new FrameDecoder();
    while (!streams.has(11)) {
      for (const frame of decoder.push((await peer.read()) ?? nothing)) {
        streams.set(frame.streamId, [...(streams.get(frame.streamId) ?? []), statusOf(frame)]);
      }
    }
    expect(streams.get(11)).toEqual([StatusCode.OK]);
    streams.delete(11);
    const refused = [...streams.values()].map((codes) => codes.filter((code) => code !== StatusCode.OK));
    expect(refused).toEqual([[StatusCode.INVALID_ARGUMENT]]);
  });

  test('refuses an item too long for a frame with RESOURCE_EXHAUSTED and lets the handler go', async () => {
    const [clientEnd, serverEnd] = memoryConnection();
    const echo = { name: 'test.Echo', methods: { Echo: serverStream(Empty, StartContainerRequest) } } as const;
    let left = false;
    const table = new MethodTable().add(echo, {
      Echo: () => {
        const queue = new ItemQueue<StartContainerRequest>(1, () => (left = true));
        queue.push({ containerId: 'x'.repeat(5 * 1024 * 1024) });
        return queue;
      },
    });
    void serveConnection(serverEnd, table);
    const client = new TtrpcClient(clientEnd, noTimers);
    await expect(client.stream(echo, 'Echo', {}).next()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(left).toBe(true);
  });

  test('refuses a call for which nothing is left of the budget, until others have ended', async () => {
    const [clientEnd, serverEnd] = memoryConnection();
    const table = new MethodTable().add(service, { Nothing: async () => ({}), Watch: () => new ItemQueue(1) });
    void serveConnection(serverEnd, table, { frames: new ByteBudget(0), calls: new ByteBudget(20_000) });
    const client = new TtrpcClient(clientEnd, noTimers);
    const first = client.stream(service, 'Watch', request);
    const second = client.stream(service, 'Watch', request);
    void first.next();
    void second.next();
    await expect(client.call(service, 'Nothing', {})).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    await first.return?.();
    const isAnswered = () => client.call(service, 'Nothing', {}).then(Boolean, () => false);
    await expect.poll(isAnswered).toBe(true);
  });

  test('ends a connection whose frame finds no room, and has the room again afterwards', async () => {
    const table = new MethodTable().add(service, { Nothing: async () => ({}), Watch: () => new ItemQueue(1) });
    const limits = { frames: new ByteBudget(100_000), calls: new ByteBudget(100_000) };
    const large = encodeFrame(1, MessageType.REQUEST, new Uint8Array(70_000)).subarray(0, 69_000);
    const connect = (): { peer: ByteStream; served: Promise<void> } => {
      const [peer, serverEnd] = memoryConnection();
      return { peer, served: serveConnection(serverEnd, table, limits) };
    };
    const first = connect();
    await first.peer.write(large);
    const second = connect();
    await second.peer.write(large);
    await expect(second.served).rejects.toMatchObject({ code: 'FRAME_NO_ROOM' });
    const small = connect();
    await small.peer.write(encodeFrame(1, MessageType.REQUEST, envelope('Nothing')));
    expect(statusOf((await frames(small.peer, 1))[0])).toBe(StatusCode.OK);
    first.peer.close();
    await expect(first.served).rejects.toMatchObject({ code: 'FRAME_TRUNCATED' });
    const third = connect();
    await third.peer.write(encodeFrame(1, MessageType.REQUEST, new Uint8Array(40_000).fill(0xff)));
    expect(statusOf((await frames(third.peer, 1))[0])).toBe(StatusCode.INVALID_ARGUMENT);
    await expect.poll(() => limits.frames.take(100_000)).toBe(true);
  });

  test('takes no more requests from a peer that reads no answers than it can keep', async () => {
    const table = new MethodTable().add(service, { Nothing: async () => ({}), Watch: () => new ItemQueue(1) });
    let reads = 0;
    const deaf: ByteStream = {
      read: async () => encodeFrame(2 * reads++ + 1, MessageType.REQUEST, envelope('Nothing')),
      write: () => new Promise(() => {}),
      close: () => {},
    };
    void serveConnection(deaf, table);
    await expect.poll(() => reads).toBe(CALLS_MAX + 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(reads).toBe(CALLS_MAX + 1);
  });
});

describe('the client', () => {
  function facing(): { client: TtrpcClient; peer: ByteStream } {
    const [clientEnd, peer] = memoryConnection();
    return { client: new TtrpcClient(clientEnd, noTimers), peer };
  }

  test('keeps its side of a stream open, and closes it when it has had enough', async () => {
    const { client, peer } = facing();
    await client.stream(service, 'Watch', request).return?.();
    expect((await frames(peer, 2)).map(seenBy)).toEqual([
      { streamId: 1, type: MessageType.REQUEST, flags: FrameFlag.REMOTE_OPEN },
      { streamId: 1, type: MessageType.DATA, flags: END },
    ]);
  });

  test('takes a message in the frame that closes the stream', async () => {
    const { client, peer } = facing();
    const items = client.stream(service, 'Watch', request);
    const payload = WaitProcessResponse.encode(item(7));
    await peer.write(encodeFrame(1, MessageType.DATA, payload, FrameFlag.REMOTE_CLOSED));
    expect(await items.next()).toEqual({ done: false, value: item(7) });
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  test('takes an empty response for the end', async () => {
    const { client, peer } = facing();
    const items = client.stream(service, 'Watch', request);
    await peer.write(encodeFrame(1, MessageType.RESPONSE, nothing));
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  test('fails a stream whose item cannot be decoded, tells the server, and goes on', async () => {
    const { client, peer } = facing();
    const items = client.stream(service, 'Watch', request);
    await peer.write(encodeFrame(1, MessageType.DATA, new Uint8Array([0xff])));
    await expect(items.next()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect((await frames(peer, 2))[1]).toMatchObject({ streamId: 1, type: MessageType.DATA, flags: END });
  });

  test('fails a unary call that is answered with data, and goes on', async () => {
    const { client, peer } = facing();
    const call = client.call(service, 'Nothing', {});
    await peer.write(encodeFrame(1, MessageType.DATA, nothing));
    await expect(call).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('takes no notice of data for a stream that it does not know', async () => {
    const { client, peer } = facing();
    await peer.write(encodeFrame(77, MessageType.DATA, nothing));
    const call = client.call(service, 'Nothing', {});
    await peer.write(encodeFrame(1, MessageType.RESPONSE, nothing));
    expect(await call).toEqual({});
  });

  test('ends a stream whose items nobody reads, with those that it could keep', async () => {
    const { client, peer } = facing();
    const items = client.stream(service, 'Watch', request);
    const payload = new Uint8Array(1024 * 1024);
    // An unknown field, to give an item some weight: field 15, length-delimited.
    payload.set([0x7a, 0xfb, 0xff, 0x3f]);
    const fitting = Math.floor(STREAM_BACKLOG_MAX / payload.length) - 1;
    const frame = encodeFrame(1, MessageType.DATA, payload.subarray(0, 4 + 0xffffb));
    for (let index = 0; index < fitting + 2; index++) await peer.write(frame);
    const taken: unknown[] = [];
    const reading = (async () => {
      for await (const next of items) taken.push(next);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(taken).toHaveLength(fitting);
  });
});
