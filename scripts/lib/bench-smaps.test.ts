import { expect, test } from 'vitest';
import { memoryBesideGuest } from './bench-smaps.ts';

const mapping = (range: string, name: string, pss: number, anonymous: number): string =>
  `${range} rw-p 00000000 00:01 7   ${name}\nSize: 4 kB\nPss:      ${pss} kB\nPss_Dirty: 1 kB\nPrivate_Dirty:  2 kB\nAnonymous:  ${anonymous} kB\nVmFlags: rd wr\n`;

test('memory besides the guest’s leaves out what is as large as the guest and what is named for it', () => {
  const text = [
    mapping('1000-2000', '', 10, 5),
    mapping('00100000-04100000', '', 60_000, 60_000),
    mapping('5000000-5100000', '/memfd:guest-ram (deleted)', 700, 600),
    mapping('6000000-6100000', '/usr/bin/program', 30, 0),
  ].join('');

  expect(memoryBesideGuest(text, 64)).toEqual({ pssKib: 40, anonymousKib: 5 });
});
