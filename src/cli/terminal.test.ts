import { describe, expect, test, vi } from 'vitest';
import { splitKeys, writeOut } from './terminal.ts';

const keys = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('splitKeys', () => {
  test('passes plain keys on', () => {
    expect(splitKeys(keys('ls\r'), false)).toEqual({ forGuest: [...keys('ls\r')], commands: [], afterEscape: false });
  });

  test('takes the key behind Ctrl-a as a command', () => {
    expect(splitKeys(keys('a\x01xb'), false)).toEqual({
      forGuest: [...keys('ab')],
      commands: ['x'],
      afterEscape: false,
    });
  });

  test('remembers a Ctrl-a at the end of what was typed', () => {
    expect(splitKeys(keys('\x01'), false)).toEqual({ forGuest: [], commands: [], afterEscape: true });
    expect(splitKeys(keys('x'), true)).toEqual({ forGuest: [], commands: ['x'], afterEscape: false });
  });

  test('sends Ctrl-a for Ctrl-a a and for Ctrl-a Ctrl-a', () => {
    expect(splitKeys(keys('\x01a\x01\x01'), false).forGuest).toEqual([1, 1]);
  });
});

test('all who write to a standard output that is full wait for one thing', async () => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(false);
  const before = process.stdout.listenerCount('drain');
  const busy = Array.from({ length: 20 }, () => writeOut(keys('x')));
  expect(process.stdout.listenerCount('drain')).toBe(before + 1);

  process.stdout.emit('drain');
  await Promise.all(busy);

  write.mockReturnValueOnce(true);
  expect(writeOut(keys('x'))).toBeUndefined();
  write.mockRestore();
});
