// The sandbox's end of a guest's resolver, with a resolver on this machine and agents that are honest or not.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { openInetSocket } from '../ffi/inet-socket.unsafe.ts';
import type { HostResolver } from '../host/resolver-query.ts';
import type { AnswerQueryRequest, ResolverQuery } from '../protocol/agent.gen.ts';
import { DNS_QUERIES_MAX, DNS_QUERY_BYTES_MAX } from '../protocol/dns-message.ts';
import { ItemQueue } from '../protocol/item-queue.ts';
import { type ResolverAgent, SandboxResolver } from './sandbox-resolver.ts';

const query = (id: number, length = 19): ResolverQuery => {
  const message = new Uint8Array(length);
  new DataView(message.buffer).setUint32(length - 4, id);
  return { id, message, tcp: false };
};

/** Patience with a busy machine. */
const PATIENCE = { timeout: 20_000 };

/** A resolver that answers what it was asked, at once or never, and how often somebody wanted a socket to ask by. */
async function resolver(isSilent = false): Promise<HostResolver & { readonly asked: number }> {
  let asked = 0;
  const socket: Socket = createSocket('udp4', (message, { port, address }) => {
    if (!isSilent) socket.send(message, port, address);
  });
  onTestFinished(() => void socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  return {
    address: '127.0.0.1',
    port,
    openSocket: (protocol) => {
      asked += 1;
      return openInetSocket(protocol);
    },
    get asked() {
      return asked;
    },
  };
}

/** @param takes whether it answers calls */
function agentThatListens(takes = true) {
  const queries = new ItemQueue<ResolverQuery>(Number.POSITIVE_INFINITY);
  queries.push({ id: 0, message: new Uint8Array(0), tcp: false });
  const answers: AnswerQueryRequest[] = [];
  const agent = {
    resolverQueries: () => queries,
    call: async (_name: string, request: AnswerQueryRequest) => {
      answers.push(request);
      return takes ? {} : await new Promise(() => {});
    },
  } as ResolverAgent;
  return { agent, queries, answers };
}

const warnings: string[] = [];
const warn = (message: string): void => void warnings.push(message);

test('each query gets the answer of the resolver', async () => {
  const { agent, queries, answers } = agentThatListens();
  using _started = await SandboxResolver.start(agent, await resolver(), warn);
  const asked = [1, 2, 3].map((id) => query(id));

  for (const one of asked) queries.push(one);

  await expect.poll(() => answers.length, PATIENCE).toBe(3);
  const sorted = answers.toSorted((a, b) => a.id - b.id).map(({ id, message }) => ({ id, message: [...message] }));
  expect(sorted).toEqual(asked.map(({ id, message }) => ({ id, message: [...message] })));
});

test('more than may be under way is not asked, whether answers do not come or are not taken', async () => {
  const most = 2 * DNS_QUERIES_MAX;
  const silent = await resolver(true);
  const prompt = await resolver();
  const [waiting, stubborn] = [agentThatListens(), agentThatListens(false)];
  using _first = await SandboxResolver.start(waiting.agent, silent, warn);
  using _second = await SandboxResolver.start(stubborn.agent, prompt, warn);

  for (let id = 1; id <= 3 * most; id++) {
    waiting.queries.push(query(id));
    stubborn.queries.push(query(id));
  }

  await expect.poll(() => stubborn.answers.length, PATIENCE).toBe(most);
  await expect.poll(() => silent.asked, PATIENCE).toBe(most);
  stubborn.queries.push(query(3 * most + 1));
  waiting.queries.push(query(3 * most + 1));
  expect([stubborn.answers.length, prompt.asked, silent.asked, waiting.answers.length]).toEqual([most, most, most, 0]);
});

test('what is no query goes nowhere', async () => {
  const { agent, queries, answers } = agentThatListens();
  const asked = await resolver();
  using _started = await SandboxResolver.start(agent, asked, warn);

  queries.push(query(1, 11));
  queries.push(query(2, DNS_QUERY_BYTES_MAX + 1));
  queries.push({ ...query(3), message: new Uint8Array(19).fill(0xff) });
  queries.push(query(4));

  await expect.poll(() => answers.map(({ id }) => id), PATIENCE).toEqual([4]);
  expect(asked.asked).toBe(1);
});

test('one that the agent ends is over; one that it never begins is an error', async () => {
  const ending = agentThatListens();
  const started = await SandboxResolver.start(ending.agent, await resolver(), warn);
  const refusing = agentThatListens();
  void refusing.queries.return();

  ending.queries.end(new Error('the agent has had enough'));

  await expect.poll(() => started.isOver, PATIENCE).toBe(true);
  expect(warnings).toContain('the guest has no resolver any more: the agent has had enough');
  await expect(SandboxResolver.start(refusing.agent, await resolver(), warn)).rejects.toThrow('does not listen');
});
