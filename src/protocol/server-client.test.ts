import { describe, expect, test } from 'vitest';
import { Empty, WaitProcessRequest, WaitProcessResponse } from './agent.gen.ts';
import { ByteBudget } from './byte-budget.ts';
import type { Timers } from './byte-stream.ts';
import { TtrpcClient } from './client.ts';
import { encodeFrame, FrameDecoder, MessageType } from './frame.ts';
import { memoryConnection } from './memory-stream.ts';
import { CALLS_MAX, MethodTable, serveConnection } from './server.ts';
import { type Caller, method } from './service.ts';
import { StatusError } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

const service = {
  name: 'test.Service',
  methods: { Wait: method(WaitProcessRequest, WaitProcessResponse), Nothing: method(Empty, Empty) },
} as const;

/** Timers that fire when the test says so. */
class ManualTimers implements Timers {
  readonly pending = new Map<object, { delayMs: number; action: () => void }>();

  after(delayMs: number, action: () => void): () => void {
    const key = {};
    this.pending.set(key, { delayMs, action });
    return () => this.pending.delete(key);
  }

  fire(): void {
    for (const { action } of [...this.pending.values()]) action();
  }
}

type Wait = (request: WaitProcessRequest) => Promise<WaitProcessResponse>;
const ending = (exitStatus: number): WaitProcessResponse => ({ exitStatus, signal: 0, coreDumped: false });
const request = (processId: string): WaitProcessRequest => ({ containerId: 'c', processId });

function connected(wait: Wait) {
  const [clientEnd, serverEnd] = memoryConnection();
  const table = new MethodTable().add(service, { Wait: wait, Nothing: async () => ({}) });
  const timers = new ManualTimers();
  const served = serveConnection(serverEnd, table);
  return { client: new TtrpcClient(clientEnd, timers), served, timers, clientEnd };
}

describe('a call', () => {
  test('carries its request there and its answer back', async () => {
    const { client } = connected(async ({ processId }) => ending(processId.length));
    expect(await client.call(service, 'Wait', request('abc'))).toEqual(ending(3));
  });

  test('does not wait for one that was made before', async () => {
    let release = (_: WaitProcessResponse): void => {};
    const { client } = connected(({ processId }) =>
      processId === 'slow' ? new Promise((resolve) => (release = resolve)) : Promise.resolve(ending(1)),
    );
    const slow = client.call(service, 'Wait', request('slow'));
    expect(await client.call(service, 'Wait', request('fast'))).toEqual(ending(1));
    release(ending(2));
    expect(await slow).toEqual(ending(2));
  });

  test('fails with the code and message that the handler threw', async () => {
    const { client } = connected(() => Promise.reject(new StatusError('NOT_FOUND', 'no such thing')));
    const call = client.call(service, 'Wait', request(''));
    await expect(call).rejects.toMatchObject({ code: 'NOT_FOUND', status: 5, message: 'no such thing' });
  });

  test('fails with UNKNOWN for any other error', async () => {
    const { client } = connected(() => Promise.reject(new TypeError('a mistake')));
    await expect(client.call(service, 'Wait', request(''))).rejects.toMatchObject({
      code: 'UNKNOWN',
      message: 'a mistake',
    });
  });

  test('of a method that the server does not know fails with UNIMPLEMENTED', async () => {
    const { client } = connected(async () => ending(0));
    const other = { name: 'test.Service', methods: { Fly: method(Empty, Empty) } };
    await expect(client.call(other, 'Fly', {})).rejects.toMatchObject({ code: 'UNIMPLEMENTED', status: 12 });
  });

  test('with an answer too long for a frame fails with RESOURCE_EXHAUSTED, and the connection stays', async () => {
    const [clientEnd, serverEnd] = memoryConnection();
    const echo = { name: 'test.Echo', methods: { Echo: method(Request, Request) } } as const;
    const huge = new Uint8Array(5 * 1024 * 1024);
    const table = new MethodTable().add(echo, { Echo: async (message) => ({ ...message, payload: huge }) });
    void serveConnection(serverEnd, table);
    const client = new TtrpcClient(clientEnd, new ManualTimers());
    const message = { service: '', method: '', payload: new Uint8Array(0), timeoutNano: 0n, metadata: [] };
    for (const _ of [1, 2]) {
      await expect(client.call(echo, 'Echo', message)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    }
  });

  test('with a request too long for a frame fails, and the connection stays', async () => {
    const { client } = connected(async () => ending(0));
    const long = client.call(service, 'Wait', request('x'.repeat(5 * 1024 * 1024)));
    await expect(long).rejects.toMatchObject({ code: 'FRAME_TOO_LONG' });
    expect(await client.call(service, 'Wait', request(''))).toEqual(ending(0));
  });
});

describe('a deadline', () => {
  test('ends the call, and a later answer changes nothing', async () => {
    let release = (_: WaitProcessResponse): void => {};
    const { client, timers } = connected(() => new Promise((resolve) => (release = resolve)));
    const call = client.call(service, 'Wait', request(''), { timeoutMs: 50 });
    expect([...timers.pending.values()].map(({ delayMs }) => delayMs)).toEqual([50]);
    timers.fire();
    await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    release(ending(0));
    expect(await client.call(service, 'Nothing', {})).toEqual({});
  });

  test('that was not needed leaves no timer', async () => {
    const { client, timers } = connected(async () => ending(0));
    await client.call(service, 'Wait', request(''), { timeoutMs: 50 });
    expect(timers.pending.size).toBe(0);
  });
});

describe('the end of the connection', () => {
  test('fails every call under way and every later one', async () => {
    const { client, clientEnd } = connected(() => new Promise(() => {}));
    const calls = ['a', 'b'].map((id) => client.call(service, 'Wait', request(id)));
    clientEnd.close();
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(client.call(service, 'Nothing', {})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await client.closed).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('on this side fails calls under way with CANCELLED', async () => {
    const { client, served } = connected(() => new Promise(() => {}));
    const call = client.call(service, 'Wait', request(''));
    client.close();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await client.closed).toBeUndefined();
    await served;
  });

  test('is told to handlers that wait, whose calls are over then and count no more', async () => {
    const [clientEnd, serverEnd] = memoryConnection();
    const calls = new ByteBudget(100_000);
    const waiting = new Set<string>();
    const wait = ({ processId }: WaitProcessRequest, caller: Caller) =>
      new Promise<WaitProcessResponse>((_resolve, reject) => {
        waiting.add(processId);
        caller.whenGone = () => {
          waiting.delete(processId);
          reject(new StatusError('CANCELLED', 'gone'));
        };
      });
    const table = new MethodTable().add(service, { Wait: wait, Nothing: async () => ({}) });
    const served = serveConnection(serverEnd, table, { frames: new ByteBudget(100_000), calls });
    const client = new TtrpcClient(clientEnd, new ManualTimers());
    const failed = Promise.allSettled(['a', 'b'].map((id) => client.call(service, 'Wait', request(id))));
    await client.call(service, 'Nothing', {});
    const underWay = [...waiting];
    const hadRoom = calls.take(100_000);
    client.close();
    await served;
    await failed;

    expect([underWay, hadRoom]).toEqual([['a', 'b'], false]);
    expect(waiting.size).toBe(0);
    expect(calls.take(100_000)).toBe(true);
  });
});

describe('the server', () => {
  test.each([
    ['a response', encodeFrame(1, MessageType.RESPONSE, new Uint8Array(0))],
    ['an unknown type', encodeFrame(1, 9, new Uint8Array(0))],
    ['half a frame', encodeFrame(1, 1, new Uint8Array(9)).subarray(0, 14)],
  ])('ends a connection that sends %s', async (_what, bytes) => {
    const { served, clientEnd } = connected(async () => ending(0));
    await clientEnd.write(bytes);
    clientEnd.close();
    await expect(served).rejects.toMatchObject({ name: 'FrameError' });
  });

  test('answers an envelope and a request that cannot be decoded', async () => {
    const [clientEnd, serverEnd] = memoryConnection();
    const table = new MethodTable().add(service, { Wait: async () => ending(0), Nothing: async () => ({}) });
    void serveConnection(serverEnd, table);
    const bad = new Uint8Array([0xff, 0xff, 0xff]);
    const envelope = { service: 'test.Service', method: 'Wait', payload: bad, timeoutNano: 0n, metadata: [] };
    await clientEnd.write(encodeFrame(1, MessageType.REQUEST, bad));
    await clientEnd.write(encodeFrame(3, MessageType.REQUEST, Request.encode(envelope)));
    const decoder = new FrameDecoder();
    const codes: (number | undefined)[] = [];
    while (codes.length < 2) {
      for (const { payload } of decoder.push((await clientEnd.read()) ?? new Uint8Array(0))) {
        codes.push(Response.decode(payload).status?.code);
      }
    }
    expect(codes).toEqual([3, 3]);
  });

  test('refuses more calls at once than it can keep', async () => {
    const { client } = connected(() => new Promise(() => {}));
    const calls = Array.from({ length: CALLS_MAX }, () => client.call(service, 'Wait', request('')));
    for (const call of calls) call.catch(() => {});
    await expect(client.call(service, 'Wait', request(''))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    client.close();
  });
});

describe('the client', () => {
  test('counts its streams in odd numbers and tells its deadline', async () => {
    const [clientEnd, otherEnd] = memoryConnection();
    const client = new TtrpcClient(clientEnd, new ManualTimers());
    for (const timeoutMs of [1500, 1]) client.call(service, 'Wait', request(''), { timeoutMs }).catch(() => {});
    const decoder = new FrameDecoder();
    const seen: [number, bigint][] = [];
    while (seen.length < 2) {
      for (const { streamId, payload } of decoder.push((await otherEnd.read()) ?? new Uint8Array(0))) {
        seen.push([streamId, Request.decode(payload).timeoutNano]);
      }
    }
    expect(seen).toEqual([
      [1, 1_500_000_000n],
      [3, 1_000_000n],
    ]);
    client.close();
  });

  test('gives up a connection on which a request arrives', async () => {
    const [clientEnd, otherEnd] = memoryConnection();
    const client = new TtrpcClient(clientEnd, new ManualTimers());
    await otherEnd.write(encodeFrame(1, MessageType.REQUEST, new Uint8Array(0)));
    expect(await client.closed).toMatchObject({ code: 'UNAVAILABLE' });
  });
});
