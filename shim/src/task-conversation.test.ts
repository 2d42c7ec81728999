import { expect, test } from 'vitest';
import { ContainerStatsResponse } from '../../src/protocol/agent.gen.ts';
import { CreateTaskRequest, DeleteRequest, Metrics, StatsResponse } from '../../src/protocol/containerd.gen.ts';
import { type Frame, MessageType } from '../../src/protocol/frame.ts';
import { encodeAnswer, encodeRefusal } from '../../src/protocol/method-table.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { Request, Response } from '../../src/protocol/ttrpc.gen.ts';
import type { GuestStats } from './metrics.ts';
import { TaskConversation } from './task-conversation.ts';

const NOTHING = new Uint8Array(0);
const ID = { id: 'c1', execId: '' };
const GUEST: GuestStats = {
  container: { ...ContainerStatsResponse.decode(NOTHING), pids: { current: 3n, limit: undefined } },
  memoryTotalBytes: 1n,
};

function setUp(guestStats: (root: string, id: string) => Promise<GuestStats> = async () => GUEST) {
  const conversation = new TaskConversation({ program: '/tskata', readConfig: () => '{}', guestStats }, new Map());
  const ask = (method: string, payload: Uint8Array, streamId = 1, service = 'containerd.task.v2.Task'): Frame => {
    const metadata = [{ key: 'containerd-namespace-ttrpc', value: 'moby' }];
    const request = Request.encode({ service, method, payload, timeoutNano: 5n, metadata });
    return { streamId, type: MessageType.REQUEST, flags: 0, payload: request };
  };
  const create = ask('Create', CreateTaskRequest.encode({ id: 'c1', bundle: '/b', options: undefined }));
  const stats = ask('Stats', DeleteRequest.encode(ID), 3);
  return { conversation, ask, create, stats };
}

function answer(payload: Uint8Array, streamId = 3): Frame {
  return { streamId, type: MessageType.RESPONSE, flags: 0, payload };
}

const HOST_STATS = answer(encodeAnswer(StatsResponse.encode({ stats: undefined })));

test('a new container gets our runtime, and the rest of the call stays', () => {
  const { conversation, create } = setUp();

  const { service, method, payload, timeoutNano, metadata } = Request.decode(conversation.request(create).payload);

  expect({ service, method, timeoutNano }).toEqual({
    service: 'containerd.task.v2.Task',
    method: 'Create',
    timeoutNano: 5n,
  });
  expect(metadata).toEqual([{ key: 'containerd-namespace-ttrpc', value: 'moby' }]);
  expect(CreateTaskRequest.decode(payload).options?.typeUrl).toBe('containerd.runc.v1.Options');
});

test.each(['containerd.task.v2.Task', 'containerd.task.v3.Task'])(
  "statistics asked of %s are the guest's",
  async (service) => {
    const asked: string[] = [];
    const { conversation, ask, create } = setUp(async (root, id) => {
      asked.push(`${root} ${id}`);
      return GUEST;
    });
    conversation.request(create);
    const stats = ask('Stats', DeleteRequest.encode(ID), 3, service);

    const passed = conversation.request(stats);
    const { payload } = Response.decode((await conversation.response(HOST_STATS)).payload);

    expect(passed).toBe(stats);
    expect(asked).toEqual(['/run/containerd/tskata c1']);
    expect(Metrics.decode(StatsResponse.decode(payload).stats?.value ?? NOTHING).pids?.current).toBe(3n);
  },
);

test('a guest that does not answer is an error of that call', async () => {
  const { conversation, create, stats } = setUp(() => Promise.reject(new StatusError('UNAVAILABLE', 'gone')));
  conversation.request(create);
  conversation.request(stats);

  const { status } = Response.decode((await conversation.response(HOST_STATS)).payload);

  expect(status).toEqual({ code: 14, message: 'gone' });
});

test('what a guest says that cannot be passed on is an error of that call', async () => {
  const pids = { current: -1n, limit: undefined };
  const { conversation, create, stats } = setUp(async () => ({ container: { ...GUEST.container, pids } }));
  conversation.request(create);
  conversation.request(stats);

  const { status } = Response.decode((await conversation.response(HOST_STATS)).payload);

  expect(status).toMatchObject({ code: 2 });
});

test('an error of containerd-shim-runc-v2 is passed on', async () => {
  const { conversation, create, stats } = setUp();
  conversation.request(create);
  conversation.request(stats);
  const error = answer(encodeRefusal(new StatusError('NOT_FOUND', 'no such container')));

  expect(await conversation.response(error)).toBe(error);
});

test('nobody asks a guest for a container that is not known, or no longer', async () => {
  const { conversation, ask, create, stats } = setUp(() => Promise.reject(new Error('asked')));
  conversation.request(stats);
  expect(await conversation.response(HOST_STATS)).toBe(HOST_STATS);

  conversation.request(create);
  conversation.request(ask('Delete', DeleteRequest.encode(ID)));
  conversation.request(stats);
  expect(await conversation.response(HOST_STATS)).toBe(HOST_STATS);
});

test('the end of an exec is not the end of its container', async () => {
  const { conversation, ask, create, stats } = setUp();
  conversation.request(create);
  conversation.request(ask('Delete', DeleteRequest.encode({ id: 'c1', execId: 'e1' })));
  conversation.request(stats);

  expect(await conversation.response(HOST_STATS)).not.toBe(HOST_STATS);
});

test.each([
  ['another call', 'State', 'containerd.task.v2.Task'],
  ['another service', 'Stats', 'containerd.sandbox.v1.Sandbox'],
])('%s and its answer are passed on as they are', (_what, name, service) => {
  const { conversation, ask } = setUp();
  const request = ask(name, NOTHING, 3, service);

  expect(conversation.request(request)).toBe(request);
  expect(conversation.response(HOST_STATS)).toBe(HOST_STATS);
});

test('data of a stream is passed on as it is', () => {
  const { conversation, stats } = setUp();
  const data: Frame = { streamId: 3, type: MessageType.DATA, flags: 1, payload: Uint8Array.of(255) };
  conversation.request(stats);

  expect(conversation.request(data)).toBe(data);
  expect(conversation.response(data)).toBe(data);
});
