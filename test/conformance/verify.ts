// Compares what came out of a container with what a case expects.
import { expect } from 'vitest';
import type { Expectation } from './case.ts';
import type { Ended } from './engine.ts';

/** @throws AssertionError */
export function verify(ended: Ended, { finds, status = 0, refused }: Expectation): void {
  if (refused === undefined)
    expect({ ...ended, found: reportOf(ended) }, ended.stderr).toMatchObject({ status, found: finds ?? {} });
  else
    expect(ended).toMatchObject({
      status: expect.toSatisfy((status: number) => status !== 0),
      stdout: '',
      stderr: expect.stringMatching(refused),
    });
}

/** What the probe found; the text itself where it did not come to its end. */
export function reportOf({ stdout }: Pick<Ended, 'stdout'>): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}
