// What verbs say of what cannot be, and of themselves: a VM has no part in it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Runtime, RuntimeBed } from './harness.ts';

export function describeAnswers(runtime: Runtime): void {
  describe('a program that cannot be run', () => {
    test.each([
      ['nosuch', 'exec: "nosuch": executable file not found in $PATH'],
      ['/nosuch', 'exec: "/nosuch": stat /nosuch: no such file or directory'],
      ['/etc', 'exec: "/etc"'],
    ])('%s fails the creation and leaves nothing', async (program, message) => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['run', '-b', bed.bundle({ args: [program] }), 'c1']);

      expect(result.status).toBe(1);
      const stderr = result.stderr.replaceAll('\\"', '"');
      expect(stderr).toMatch(bed.words('unable to start container process'));
      expect(stderr).toMatch(bed.words(message));
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describe('errors', () => {
    test.each([
      [['state', 'nosuch'], 'container does not exist'],
      [['start', 'nosuch'], 'container does not exist'],
      [['kill', 'nosuch'], 'container does not exist'],
      [['delete', 'nosuch'], 'container does not exist'],
      [['delete', 'a/b'], 'invalid container ID format'],
      [['create', '--bundle', '/nonexistent', 'c1'], 'chdir /nonexistent: no such file or directory'],
      [['create', '--bundle', '/run', 'c1'], 'JSON specification file config.json not found'],
      [['state'], 'requires exactly 1 argument(s)'],
      [['state', '--nosuch', 'x'], 'flag provided but not defined: -nosuch'],
      [['--log-format', 'xml', 'state', 'x'], 'invalid log-format: xml'],
    ])('%j says so', async (args, message) => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(args);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(bed.words(/^time="[^"]*Z" level=error msg=/m));
      expect(result.stderr).toMatch(bed.words(message));
    });

    test('a verb that is not there ends with status 3', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['nosuch']);

      expect(result.status).toBe(3);
      expect(result.stderr).toContain("No help topic for 'nosuch'");
    });

    test('--log gets the last error as JSON, and standard error as text', async () => {
      await using bed = new RuntimeBed(runtime);
      const log = join(bed.folder, 'log.json');

      const result = await bed.call(['--log', log, '--log-format', 'json', 'state', 'nosuch']);

      const line = JSON.parse(readFileSync(log, 'utf8'));
      const msg = expect.stringMatching(bed.words(/^container does not exist$/));
      expect(line).toEqual({ level: 'error', msg, time: expect.stringMatching(/Z$/) });
      expect(result).toEqual({ status: 1, stdout: '', stderr: `${line.msg}\n` });
    });
  });

  describe('questions', () => {
    test('--version names version, commit and specification, a line each', async () => {
      await using bed = new RuntimeBed(runtime);

      const { stdout } = await bed.call(['--version']);

      expect(stdout).toMatch(/^\w+ version \S+\ncommit: \S+\nspec: 1\.\d\.\d\S*\n/);
    });

    test('features is JSON', async () => {
      await using bed = new RuntimeBed(runtime);

      const { stdout } = await bed.call(['features']);

      expect(JSON.parse(stdout)).toMatchObject({ ociVersionMin: '1.0.0', linux: { namespaces: expect.any(Array) } });
    });

    test('list of nothing is a header, and null as JSON', async () => {
      await using bed = new RuntimeBed(runtime);

      const table = await bed.call(['list']);
      const json = await bed.call(['list', '--format', 'json']);

      expect(table.stdout).toBe('ID          PID         STATUS      BUNDLE      CREATED     OWNER\n');
      expect(json.stdout.trim()).toBe('null');
    });
  });
}
