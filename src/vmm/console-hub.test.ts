import { expect, test, vi } from 'vitest';
import { ConsoleHub } from './console-hub.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('all readers get the output, until they are disposed', () => {
  const hub = new ConsoleHub({ input: () => true });
  const first = vi.fn();
  const second = vi.fn();
  hub.attach({ output: first });
  const attachment = hub.attach({ output: second });

  hub.output(bytes('a'));
  attachment[Symbol.dispose]();
  hub.output(bytes('b'));

  expect(first.mock.calls).toEqual([[bytes('a')], [bytes('b')]]);
  expect(second.mock.calls).toEqual([[bytes('a')]]);
});

test('what is written goes to the guest, which may have no room; after the end it goes nowhere', () => {
  const input = vi.fn(() => false);
  const drain = vi.fn();
  const hub = new ConsoleHub({ input });
  const attachment = hub.attach({ output: () => undefined, drain });

  expect(attachment.write(bytes('x'))).toBe(false);
  hub.drained();
  attachment[Symbol.dispose]();
  expect(attachment.write(bytes('y'))).toBe(true);

  expect(input.mock.calls).toEqual([[bytes('x')]]);
  expect(drain).toHaveBeenCalledTimes(1);
});
