import { describe, expect, test } from 'vitest';
import { logTime, terminalLine, textLine } from './log.ts';

const time = new Date('2026-11-21T03:10:34.567Z');

describe('log lines', () => {
  // Captured from runc 1.1.5.
  test.each([
    ['container does not exist', 'time="2026-11-21T03:10:34Z" level=error msg="container does not exist"\n'],
    [
      'exec: "nosuch": executable file not found in $PATH',
      'time="2026-11-21T03:10:34Z" level=error msg="exec: \\"nosuch\\": executable file not found in $PATH"\n',
    ],
    ["No help topic for 'foo'\n", 'time="2026-11-21T03:10:34Z" level=error msg="No help topic for \'foo\'\\n"\n'],
    ['plain', 'time="2026-11-21T03:10:34Z" level=error msg=plain\n'],
    ['\x1b[31m', 'time="2026-11-21T03:10:34Z" level=error msg="\\x1b[31m"\n'],
  ])('text of %j is what runc prints', (message, line) => {
    expect(textLine('error', message, time)).toBe(line);
  });

  test('a terminal gets the short form', () => {
    expect(terminalLine('warning', 'careful', 12_345)).toBe('WARN[0012] careful \n');
    expect(terminalLine('error', 'a guest\x1b[2J says\nthis', 0)).toBe('ERRO[0000] a guest\\x1b[2J says\nthis \n');
  });

  test('times have no fractions', () => {
    expect(logTime(time)).toBe('2026-11-21T03:10:34Z');
  });
});
