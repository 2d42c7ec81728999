// Command lines in this process, as the start of another takes longer than all that is tested here.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FAILURE, FLAGS, MISSING, MISUSE, NEWER_FLAGS, NEWER_MISUSE } from '../../test/oci/command-lines.ts';
import { runTskata } from './tskata.ts';

const printed = vi.hoisted(() => ({ out: '', err: '' }));
vi.mock('./tskata-output.ts', () => ({
  async print(text: string) {
    printed.out += text;
  },
  printError(text: string) {
    printed.err += text;
  },
}));
// Each verb's file is loaded with its first test.
vi.setConfig({ testTimeout: 30_000 });

let place = '';
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'tskata-'));
  mkdirSync(join(place, 'root'));
  Object.assign(printed, { out: '', err: '' });
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** What is logged comes back as `err`. */
async function tskata(...args: readonly string[]): Promise<{ status: number; out: string; err: string }> {
  const log = join(place, 'log');
  writeFileSync(log, '');
  const status = await runTskata(['--log', log, '--root', join(place, 'root'), ...args]);
  return { status, out: printed.out, err: readFileSync(log, 'utf8').replaceAll('\\"', '"') };
}

describe('tskata', () => {
  test.each([...FLAGS, ...NEWER_FLAGS])('%s takes %j', async (verb, flags, args) => {
    const { status, out, err } = await tskata(verb, ...flags, 'c1', ...args);

    expect(out).toBe('');
    expect(err).toMatch(MISSING);
    expect(status).toBe(FAILURE[verb] ?? 1);
  });

  test.each([...MISUSE, ...NEWER_MISUSE])('%j is told apart from others', async (args, status, message) => {
    const result = await tskata(...args);

    expect(result.status).toBe(status);
    // Without a log that can be written, the error is on standard error.
    expect(result.err + printed.err).toContain(message);
  });

  test.each([
    ['create'],
    ['run'],
    ['start'],
    ['state'],
    ['pause'],
    ['resume'],
    ['kill'],
    ['delete'],
    ['exec'],
    ['ps'],
    ['list'],
    ['events'],
    ['features'],
    ['spec'],
    ['update'],
    ['checkpoint'],
    ['restore'],
  ])('%s --help tells all that it takes, but for what nobody should use', async (verb) => {
    const hidden = ['--all', '--kernel-memory', '--kernel-memory-tcp'];
    const flags = [...FLAGS, ...NEWER_FLAGS].filter(([name]) => name === verb).flatMap(([, flags]) => flags);
    const long = flags.flatMap((flag) => /^--[a-z][a-z0-9-]*/.exec(flag) ?? []);

    const { status, out } = await tskata(verb, '--help');

    const shown = new Set([...out.matchAll(/--[a-z][a-z0-9-]*/g)].map(([flag]) => flag));
    expect(status).toBe(0);
    expect(out).toMatch(new RegExp(`^Usage: tskata ${verb}`));
    expect(long.filter((flag) => !hidden.includes(flag) && !shown.has(flag))).toEqual([]);
    expect(hidden.filter((flag) => shown.has(flag))).toEqual([]);
  });

  test.each([
    ['list'],
    ['state', 'c1'],
    ['kill', 'c1'],
    ['delete', 'c1'],
    ['delete', '--force', 'c1'],
    ['exec', 'c1', 'ls'],
    ['ps', 'c1'],
    ['events', 'c1'],
    ['update', 'c1'],
  ])('%s says so where the folder of state cannot be', async (...args) => {
    const root = join(place, 'file/state');
    writeFileSync(join(place, 'file'), '');

    const { status, err } = await tskata('--root', root, ...args);

    expect(status).toBe(FAILURE[String(args[0])] ?? 1);
    expect(err).toContain('not a directory');
    expect(err).toContain(root);
  });

  test.each(['text', 'json'])(
    'tells on standard error that a log in %s finds no room, with the error',
    async (format) => {
      const { status } = await tskata('--log', '/dev/full', '--log-format', format, 'state', 'c1');

      expect(status).toBe(1);
      expect(printed.err).toMatch(/cannot write the log file \/dev\/full: ENOSPC.*\ncontainer does not exist\n$/);
    },
  );

  test('does not offer checkpoints among its features', async () => {
    const { out } = await tskata('features');

    // runc's own is an annotation: org.opencontainers.runc.checkpoint.enabled.
    expect(out).not.toMatch(/checkpoint\.enabled|criu/i);
  });
});
