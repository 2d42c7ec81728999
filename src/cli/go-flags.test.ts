import { expect, test } from 'vitest';
import { goFlags } from './go-flags.ts';

const booleans = new Set(['debug', 'force', 'f']);

test.each<[string[], string[]]>([
  [
    ['-root=/x', 'state', 'c1'],
    ['--root', '/x', 'state', 'c1'],
  ],
  [
    ['--root', '/x', '-debug'],
    ['--root', '/x', '--debug'],
  ],
  [
    ['--debug=true', '--force=false', '-f=1'],
    ['--debug', '-f'],
  ],
  [['-b=/bundle'], ['-b', '/bundle']],
  [['--log=a=b'], ['--log', 'a=b']],
  [
    ['kill', 'c1', '9'],
    ['kill', 'c1', '9'],
  ],
  [
    ['exec', '--', '-root=x'],
    ['exec', '--', '-root=x'],
  ],
  [
    ['-root', 'exec', 'kill', 'c1', '-force'],
    ['--root', 'exec', 'kill', 'c1', '--force'],
  ],
  [
    ['-debug', 'exec', '-force', '-user', '1', 'c1', 'ls', '-la', '-x=y'],
    ['--debug', 'exec', '--force', '--user', '1', 'c1', 'ls', '-la', '-x=y'],
  ],
])('%j becomes %j', (written, expected) => {
  expect(goFlags(written, booleans, new Set(['exec']))).toEqual(expected);
});
