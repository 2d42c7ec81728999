// The command lines of command-lines.ts, as runc takes and refuses them: the reference for src/cli/tskata-command-lines.test.ts, which
// has the same without a process for each.
import { describe, expect, test } from 'vitest';
import { FAILURE, FLAGS, MISSING, MISUSE } from './command-lines.ts';
import { type Runtime, RuntimeBed } from './harness.ts';

export function describeCommandLines(runtime: Runtime): void {
  describe('a command line', () => {
    test.each(FLAGS)('of %s with %j is taken', async (verb, flags, args) => {
      await using bed = new RuntimeBed(runtime);

      const { status, stdout, stderr } = await bed.call([verb, ...flags, 'c1', ...args]);

      expect(stdout).toBe('');
      expect(stderr).toMatch(MISSING);
      expect(status).toBe(FAILURE[verb] ?? 1);
    });

    test.each(MISUSE)('%j is told apart from others', async (args, status, message) => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(args);

      expect(result.status).toBe(status);
      expect(result.stderr.replaceAll('\\"', '"')).toContain(message);
    });
  });
}
