import { expect, test } from 'vitest';
import { parseArguments } from './arguments.ts';

const CONTAINERD = '-namespace moby -address /run/c.sock -publish-binary /usr/bin/containerd -id c1 -debug start';

test('reads what containerd passes', () => {
  expect(parseArguments(CONTAINERD.split(' '))).toEqual({
    flags: { namespace: 'moby', address: '/run/c.sock', 'publish-binary': '/usr/bin/containerd', id: 'c1', debug: '' },
    action: 'start',
  });
});

test.each([
  ['two dashes, and a value behind a sign', ['--id=c1', 'delete'], { flags: { id: 'c1' }, action: 'delete' }],
  ['an empty value', ['-bundle', '', 'delete'], { flags: { bundle: '' }, action: 'delete' }],
  ['a sign within a value', ['-id=a=b'], { flags: { id: 'a=b' }, action: undefined }],
  ['a value that looks like a flag', ['-id', '-v', 'start'], { flags: { id: '-v' }, action: 'start' }],
  ['two dashes alone', ['-v', '--', '-x'], { flags: { v: '' }, action: '-x' }],
  ['what follows the action', ['start', '-x'], { flags: {}, action: 'start' }],
  ['a lone dash', ['-'], { flags: {}, action: '-' }],
  ['nothing', [], { flags: {}, action: undefined }],
])("reads as Go's package flag does: %s", (_what, words, expected) => {
  expect(parseArguments(words)).toEqual(expected);
});

test.each([
  [['-x', 'start'], 'flag provided but not defined: -x'],
  [['-id'], 'flag needs an argument: -id'],
  [['--constructor=1'], 'flag provided but not defined: --constructor=1'],
])('refuses %j', (words, message) => {
  expect(() => parseArguments(words)).toThrow(message);
});
