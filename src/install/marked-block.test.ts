import { describe, expect, test } from 'vitest';
import { hasBrokenBlock, withBlock, withoutBlock } from './marked-block.ts';

describe('a marked block', () => {
  test.each(['', '\n', 'a = 1', 'a = 1\n', 'a = 1\n\n\n', '# c\r\na = 1\r\n'])('comes and goes in %j', (before) => {
    const after = withBlock(before, '[b]\nc = 2');

    expect(after).toContain('[b]\nc = 2\n');
    expect(withBlock(after, '[b]\nc = 2')).toBe(after);
    expect(withoutBlock(after)).toBe(before);
  });

  test('is written again in its place', () => {
    const added = `${withBlock('a = 1\n', 'old')}[later]\n`;

    const after = withBlock(added, 'new $& $1');

    expect(after).toBe(added.replace('old', () => 'new $& $1'));
    expect(withoutBlock(after)).toBe('a = 1\n[later]\n');
  });

  test('takes a file with it that was made for it, unless something was added', () => {
    const made = withBlock(undefined, 'x', 'version = 2\n');

    expect(withoutBlock(made, ['version = 2\n'])).toBeUndefined();
    expect(withoutBlock(`${made}mine\n`, ['version = 2\n'])).toMatch(/^# Made by .*\nversion = 2\nmine\n$/);
  });

  test('whose end is gone is known', () => {
    const text = withBlock('', 'x');

    expect([hasBrokenBlock(text), hasBrokenBlock(text.replace('end', '')), hasBrokenBlock('a')]).toEqual([
      false,
      true,
      false,
    ]);
  });
});
