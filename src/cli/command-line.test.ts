import { describe, expect, test } from 'vitest';
import { count, nothingFound, readCommandLine, switched, text, textOr, texts, word } from './command-line.ts';

const FLAGS = {
  debug: switched({ about: '' }),
  force: switched({ about: '', short: 'f' }),
  root: textOr('/run', { about: '', placeholder: 'directory' }),
  bundle: text({ about: '', placeholder: 'path', short: 'b' }),
  env: texts({ about: '', placeholder: 'NAME=value', short: 'e' }),
  'preserve-fds': count({ about: '', placeholder: 'count' }),
  rootless: word(['true', 'auto'], 'auto', { about: '', placeholder: 'when' }),
};

function read(words: readonly string[], endsAtArgument = false): unknown {
  const found = nothingFound(FLAGS);
  readCommandLine(words, FLAGS, found, endsAtArgument);
  const { root, preserveFds, rootless, ...given } = found.values;
  const isDefault = root === '/run' && preserveFds === 0 && rootless === 'auto';
  return { ...given, ...(isDefault ? {} : { root, preserveFds, rootless }), args: found.args };
}

describe('a command line', () => {
  test.each<[string[], object]>([
    [['c1'], { args: ['c1'] }],
    [['-bundle=/x', 'c1'], { bundle: '/x', args: ['c1'] }],
    [['--bundle', '/x', '-debug'], { bundle: '/x', debug: true, args: [] }],
    [['-b=/x'], { bundle: '/x', args: [] }],
    [['-b', '-odd'], { bundle: '-odd', args: [] }],
    [['--bundle=a=b'], { bundle: 'a=b', args: [] }],
    [['--bundle='], { bundle: '', args: [] }],
    [['-b', '/x', '-b', '/y'], { bundle: '/y', args: [] }],
    [['--debug=true', '--force=false', 'c1'], { debug: true, force: false, args: ['c1'] }],
    [['-f=1'], { force: true, args: [] }],
    [['c1', '-force', 'c2'], { force: true, args: ['c1', 'c2'] }],
    [['c1', '-', 'c2'], { args: ['c1', '-', 'c2'] }],
    [['-f', '--', '-debug', 'c1'], { force: true, args: ['-debug', 'c1'] }],
    [['-e', 'A=1', '--env', 'B=2'], { env: ['A=1', 'B=2'], args: [] }],
    [['--preserve-fds', '3'], { root: '/run', preserveFds: 3, rootless: 'auto', args: [] }],
    [['--rootless=true'], { root: '/run', preserveFds: 0, rootless: 'true', args: [] }],
    [[''], { args: [''] }],
  ])('%j is read', (words, expected) => {
    expect(read(words)).toEqual(expected);
  });

  test.each<[string[], object]>([
    [['-f', 'c1', 'ls', '-la', '-x=y', '--'], { force: true, args: ['c1', 'ls', '-la', '-x=y', '--'] }],
    [['--', 'c1', '--force'], { args: ['c1', '--force'] }],
  ])('%j is read, where the first argument ends the flags', (words, expected) => {
    expect(read(words, true)).toEqual(expected);
  });

  test.each([
    [['-nosuch', 'x'], 'flag provided but not defined: -nosuch'],
    [['-tf'], 'flag provided but not defined: -tf'],
    [['-9'], 'flag provided but not defined: -9'],
    [['--nosuch=1'], 'flag provided but not defined: -nosuch'],
    [['--constructor'], 'flag provided but not defined: -constructor'],
    [['c1', '-b'], 'flag needs an argument: -b'],
    [['--debug=maybe'], 'invalid boolean value "maybe" for -debug: parse error'],
    [['--preserve-fds', '-1'], 'invalid value "-1" for flag -preserve-fds: parse error'],
    [['--rootless', 'no'], 'invalid value "no" for flag -rootless: allowed are true, auto'],
  ])('%j is refused in the words of Go', (words, message) => {
    expect(() => read(words)).toThrow(message);
  });

  test.each([['-h'], ['--help'], ['-help']])('%s asks for help', (word) => {
    const found = nothingFound(FLAGS);

    readCommandLine([word], FLAGS, found, true);

    expect(found.wantsHelp).toBe(true);
  });

  test('that is not understood gives what stood before', () => {
    const found = nothingFound(FLAGS);

    expect(() => readCommandLine(['--root', '/x', '--nosuch'], FLAGS, found, true)).toThrow();

    expect(found.values).toMatchObject({ root: '/x' });
  });
});
