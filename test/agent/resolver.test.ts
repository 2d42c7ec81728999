// The resolver of a guest: what programs of a container ask at 127.0.0.11 is the host's to answer.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ResolverQuery } from '../../src/protocol/agent.gen.ts';
import { DNS_QUERIES_MAX } from '../../src/protocol/dns-message.ts';
import { config, TestAgent } from './harness.ts';

const ADDRESS = Buffer.from([192, 0, 2, 53]);
/** Where the question of a message begins (RFC 1035, 4.1.1). */
const QUESTION = 12;
const TYPE_A = 1;
const NOTHING: ResolverQuery = { id: 0, message: new Uint8Array(0), tcp: false };

let agent: TestAgent;
beforeEach(async () => {
  agent = await TestAgent.start();
  agent.runInside('ip', 'link', 'set', 'lo', 'up');
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
});

/** A resolver for which each name has the one address; of others than IPv4 it has none. */
function answer({ message }: ResolverQuery): Buffer {
  const query = Buffer.from(message);
  const end = query.indexOf(0, QUESTION) + 5;
  const isA = query.readUInt16BE(end - 4) === TYPE_A;
  const header = Buffer.from(query.subarray(0, QUESTION));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(isA ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  // A pointer to the name in the question, type, class, how long it holds, the address.
  const record = Buffer.concat([Buffer.from('c00c000100010000003c0004', 'hex'), ADDRESS]);
  return Buffer.concat([header, query.subarray(QUESTION, end), ...(isA ? [record] : [])]);
}

async function reply(query: ResolverQuery): Promise<void> {
  await agent.call('AnswerQuery', { id: query.id, message: answer(query) });
}

async function replyAll(items: AsyncIterable<ResolverQuery>, queries: ResolverQuery[] = []): Promise<void> {
  for await (const query of items) {
    queries.push(query);
    await reply(query);
  }
}

/** Serves the resolver until the agent ends. @returns the queries, as they come */
async function serveResolver(): Promise<ResolverQuery[]> {
  const items = agent.subscribe('ServeResolver', {});
  const { value: first } = await items.next();
  expect(first).toEqual(NOTHING);
  const queries: ResolverQuery[] = [];
  replyAll(items, queries).catch(() => {});
  return queries;
}

/** Runs a script in a container with the network of the guest. */
async function inContainer(script: string) {
  const rootfs = agent.makeRootfs();
  writeFileSync(join(rootfs, 'etc/resolv.conf'), 'nameserver 127.0.0.11\n');
  const namespaces = ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
  return await agent.run(config(['sh', '-c', script], { linux: { namespaces } }), rootfs);
}

/** A query for the address of "a.example" as a program sends it by TCP, for printf(1). */
const TCP_QUERY = String.raw`\000\033\022\064\001\000\000\001\000\000\000\000\000\000\001a\007example\000\000\001\000\001`;

test('names are looked up by UDP and by TCP', async () => {
  const queries = await serveResolver();

  const udp = await inContainer('busybox nslookup a.example');
  const tcp = await inContainer(
    `printf '${TCP_QUERY}' | busybox nc -w 5 127.0.0.11 53 | busybox tail -c 4 | busybox od -An -tu1`,
  );

  expect(udp.stdout).toMatch(/Server:\s+127\.0\.0\.11\nAddress:\s+127\.0\.0\.11:53\n/);
  expect(udp.stdout).toMatch(/Name:\s+a\.example\nAddress:\s+192\.0\.2\.53\n/);
  expect(tcp.stdout.trim()).toMatch(/^192 +0 +2 +53$/);
  expect(new Set(queries.map(({ tcp: isTcp }) => isTcp))).toEqual(new Set([false, true]));
});

test('a container may serve port 53 itself, and other addresses are its own', async () => {
  await serveResolver();

  const { stdout } = await inContainer(
    'busybox nc -l -p 53 -e echo own & until busybox netstat -ltn | grep -q :53; do :; done; busybox nc -w 5 127.0.0.1 53 < /dev/null',
  );

  expect(stdout).toBe('own\n');
});

test('ends with its call, can be had again, and not twice', async () => {
  const items = agent.subscribe('ServeResolver', {});
  await items.next();
  await expect(agent.subscribe('ServeResolver', {}).next()).rejects.toThrow('the resolver is served already');

  await items.return?.();

  await expect.poll(() => agent.runInside('ss', '-Hltun')).not.toContain('127.0.0.11');
  await serveResolver();
  expect((await inContainer('busybox nslookup a.example')).stdout).toContain('192.0.2.53');
});

test('queries that nobody answers are bounded, and all are answered once somebody does', async () => {
  const items = agent.subscribe('ServeResolver', {});
  await items.next();
  // Each asks for two kinds of addresses at once.
  const flood = inContainer(
    `i=0; while [ $i -lt ${DNS_QUERIES_MAX} ]; do busybox nslookup a.example > /tmp/$i & i=$((i+1)); done; wait; cat /tmp/* | grep -c 192.0.2.53`,
  );
  const held: ResolverQuery[] = [];
  while (held.length < DNS_QUERIES_MAX) held.push((await items.next()).value ?? NOTHING);
  const next = items.next();
  const more = await Promise.race([next, agent.call('GuestDetails', {})]);
  const rest = next.then(({ value = NOTHING }) => reply(value)).then(() => replyAll(items));
  await Promise.all(held.map(reply));

  expect(more).toHaveProperty('kernelRelease');
  expect((await flood).stdout).toBe(`${DNS_QUERIES_MAX}\n`);
  await items.return?.();
  await rest;
});

test('what is no query is not passed on, and an answer that nobody waits for is dropped', async () => {
  const queries = await serveResolver();

  await agent.call('AnswerQuery', { id: 77, message: Uint8Array.of(1) });
  await inContainer(
    String.raw`for bytes in '\377\377' '\000\005short' '\000'; do printf $bytes | busybox nc -w 5 127.0.0.11 53; done; busybox nslookup a.example`,
  );

  expect(queries.length).toBeGreaterThan(0);
  expect(queries.every(({ message }) => Buffer.from(message).includes('example'))).toBe(true);
});
