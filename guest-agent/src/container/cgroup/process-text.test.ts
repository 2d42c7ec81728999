import { expect, test } from 'vitest';
import { fieldOf, namespacePids, parseCommandLine, parseStat } from './process-text.ts';

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index)).join(' ');

test.each([
  ['an ordinary name', 'sh'],
  ['a name like the fields behind it', ') R 1 2 3'],
  ['a name of two lines', 'a\n) Z 9'],
  ['no name', ''],
])('the numbers of a process with %s are its own', (_what, name) => {
  // From field 4 on each number is that of its field.
  expect(parseStat(`77 (${name}) S ${numbers(4, 52)}\n`)).toEqual({
    state: 'S',
    parentPid: 4,
    cpuTimeUs: BigInt((14 + 15) * 10_000),
    startTimeUs: 220_000n,
    residentBytes: BigInt(24 * 4096),
  });
});

test('a field of the status is found whatever the name of the process says', () => {
  const status = 'Name:\tx\\nUid:\\t0\nUid:\t1000\t1001\t1002\t1003\nNSpid:\t812\t14\t1\n';
  expect(fieldOf(status, 'Uid')).toBe('1000\t1001\t1002\t1003');
  expect(namespacePids(status)).toEqual([812, 14, 1]);
});

test.each([
  ['sh\0-c\0echo \n\0', ['sh', '-c', 'echo \n']],
  ['', []],
  ['worker: idle', ['worker: idle']],
  ['a\0\0', ['a', '']],
])('the command line %j has the arguments %j', (text, args) => {
  expect(parseCommandLine(text)).toEqual(args);
});
