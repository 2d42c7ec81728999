import { expect, test, vi } from 'vitest';
import { ConsoleHub } from './console-hub.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('all readers get the output, until they are disposed', () => {
  const hub = new ConsoleHub(() => undefined);
  const first = vi.fn();
  const second = vi.fn();
  hub.attach(first);
  const attachment = hub.attach(second);

  hub.output(bytes('a'));
  attachment[Symbol.dispose]();
  hub.output(bytes('b'));

  expect(first.mock.calls).toEqual([[bytes('a')], [bytes('b')]]);
  expect(second.mock.calls).toEqual([[bytes('a')]]);
});

test('the guest waits for the slowest reader, and not for readers that have room', async () => {
  const slow = Promise.withResolvers<void>();
  const hub = new ConsoleHub(() => undefined);
  hub.attach(() => undefined);
  expect(hub.output(bytes('a'))).toBeUndefined();
  hub.attach(() => slow.promise);
  const busy = hub.output(bytes('b'));
  slow.resolve();

  await expect(busy).resolves.toBeUndefined();
});

test('what is written goes to the guest, which may have no room; after the end it goes nowhere', () => {
  const room = Promise.resolve();
  const input = vi.fn(() => room);
  const attachment = new ConsoleHub(input).attach(() => undefined);

  expect(attachment.write(bytes('x'))).toBe(room);
  attachment[Symbol.dispose]();
  expect(attachment.write(bytes('y'))).toBeUndefined();

  expect(input.mock.calls).toEqual([[bytes('x')]]);
});
