import { openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { watchFd } from './event-loop.unsafe.ts';
import { EventFd } from './eventfd.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';

test('a signalled eventfd calls back once per drain', async () => {
  using event = new EventFd();
  const counts: number[] = [];
  const second = Promise.withResolvers<void>();
  using _watch = watchFd(event.fd, () => {
    counts.push(event.drain());
    if (counts.length === 1) event.signal();
    else second.resolve();
  });

  event.signal();
  event.signal();
  await second.promise;

  expect(counts).toEqual([2, 1]);
});

test('promises that a callback settles go on in the same turn of the event loop', async () => {
  using event = new EventFd();
  const order: string[] = [];
  const done = Promise.withResolvers<void>();
  using _watch = watchFd(event.fd, () => {
    event.drain();
    Promise.resolve().then(() => order.push('promise'));
    setTimeout(() => {
      order.push('next timer');
      done.resolve();
    });
  });

  event.signal();
  await done.promise;

  expect(order).toEqual(['promise', 'next timer']);
});

test('a disposed watch calls back no more', async () => {
  using event = new EventFd();
  let calls = 0;
  const watch = watchFd(event.fd, () => calls++);

  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  event.signal();
  await new Promise((resolve) => setTimeout(resolve, 20));

  expect(calls).toBe(0);
});

test('a descriptor has one watch at a time', () => {
  using event = new EventFd();
  using _watch = watchFd(event.fd, () => {});

  expect(() => watchFd(event.fd, () => {})).toThrow('is watched already');
});

test('an eventfd that nobody signalled drains to 0', () => {
  using event = new EventFd();

  expect(event.drain()).toBe(0);
});

test('a file, which is always ready, is refused', () => {
  using file = new OwnedFd(openSync(import.meta.filename, 'r'));

  expect(() => watchFd(file.fd, () => {})).toThrow('always ready');
});
