import { describe, expect, test } from 'vitest';
import { parseSize, readOptions } from './options.ts';

const form = {
  subject: 'disk',
  fields: {
    path: 'text',
    ro: 'flag',
    id: 'text',
    rate: 'size',
    cache: ['writeback', 'direct'],
    every: 'seconds',
    n: 'integer',
  },
  first: (item: string) => ({ path: item }),
} as const;

describe('readOptions', () => {
  test('reads a text whose first item has no key', () => {
    const read = readOptions('/srv/a=b.raw,ro,id=first,rate=2M,cache=direct,every=1.5s,n=3', form);

    expect(read).toEqual({
      path: '/srv/a=b.raw',
      ro: true,
      id: 'first',
      rate: 2 << 20,
      cache: 'direct',
      every: 1.5,
      n: 3,
    });
  });

  test('reads a text whose first item has its key', () => {
    expect(readOptions('id=first,path=/srv/x', form)).toEqual({ id: 'first', path: '/srv/x' });
  });

  test('takes a doubled comma as one of the value', () => {
    expect(readOptions('/srv/a,,b,ro=off', form)).toEqual({ path: '/srv/a,b', ro: false });
  });

  test('reads a table', () => {
    expect(readOptions({ path: '/x', ro: true, rate: 512, n: 0 }, form)).toEqual({
      path: '/x',
      ro: true,
      rate: 512,
      n: 0,
    });
  });

  test.each([
    ['/x,size=3', 'disk option is "size"; allowed is path, ro, id, rate, cache, every, n'],
    ['/x,ro=maybe', 'disk ro is "maybe"; allowed is on or off'],
    ['/x,id', 'disk id is given without a value; allowed is a text'],
    ['/x,id=', 'disk id is ""; allowed is a text'],
    ['/x,rate=fast', 'disk rate is "fast"; allowed is a size such as 512K or 2G'],
    ['/x,cache=none', 'disk cache is "none"; allowed is writeback or direct'],
    ['/x,id=a,id=b', 'disk id is given twice; allowed is one value'],
    ['/x,n=-1', 'disk n is "-1"; allowed is a whole number'],
    ['/x,__proto__=1', 'disk option is "__proto__"'],
  ])('refuses %s', (text, message) => {
    expect(() => readOptions(text, form)).toThrow(message);
  });
});

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['12k', 12288],
    ['1GiB', 2 ** 30],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(['', 'M', '-1', '1.5G', '99999999999T'])('finds no size in %j', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});
