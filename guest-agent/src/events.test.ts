import { expect, test } from 'vitest';
import type { Event } from '../../src/protocol/agent.gen.ts';
import { EventHub } from './events.ts';

const outOfMemory = (containerId: string, kills = 1n): Event => ({
  containerId,
  kind: { $case: 'outOfMemory', value: { kills } },
});

async function take(events: AsyncIterable<Event>, count: number): Promise<Event[]> {
  const taken: Event[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

test('tells every subscriber what happens after his call', async () => {
  const hub = new EventHub();
  hub.emit(outOfMemory('before'));
  const subscribers = [hub.subscribe(''), hub.subscribe('')];
  hub.emit(outOfMemory('a'));
  for (const subscriber of subscribers) expect(await take(subscriber, 1)).toEqual([outOfMemory('a')]);
});

test('tells of one container who asks for one', async () => {
  const hub = new EventHub();
  const events = hub.subscribe('b');
  for (const id of ['a', 'b', 'a', 'b']) hub.emit(outOfMemory(id));
  expect((await take(events, 2)).map(({ containerId }) => containerId)).toEqual(['b', 'b']);
});

test('ends a subscriber who does not read, and says so after what he has not lost', async () => {
  const hub = new EventHub();
  const slow = hub.subscribe('');
  for (let kills = 1n; kills <= 1025n; kills++) hub.emit(outOfMemory('a', kills));
  hub.emit(outOfMemory('a', 5000n));
  const read: Event[] = [];
  const all = async () => {
    for await (const event of slow) read.push(event);
  };
  await expect(all()).rejects.toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
    message: 'events were lost: 1024 waited and were not read; subscribe again',
  });
  expect(read).toHaveLength(1024);
  expect(read.at(-1)).toEqual(outOfMemory('a', 1024n));
});

test('has a place for another subscriber when one leaves', async () => {
  const hub = new EventHub();
  const iterators = Array.from({ length: 16 }, () => hub.subscribe('')[Symbol.asyncIterator]());
  expect(() => hub.subscribe('')).toThrow('events have 16 subscribers already');
  await iterators[0]?.return?.();
  expect(() => hub.subscribe('')).not.toThrow();
});

test('looks after the guest from the first subscriber on, and tells those who want all', async () => {
  const watches: (() => void)[] = [];
  const hub = new EventHub((onOutOfMemory) => watches.push(onOutOfMemory));
  expect(watches).toHaveLength(0);
  const all = hub.subscribe('');
  const one = hub.subscribe('a');
  expect(watches).toHaveLength(1);
  watches[0]?.();
  hub.emit(outOfMemory('a'));
  expect(await take(all, 1)).toEqual([{ containerId: '', kind: { $case: 'guestOutOfMemory', value: {} } }]);
  expect(await take(one, 1)).toEqual([outOfMemory('a')]);
});
