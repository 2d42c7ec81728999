// Random programs of a hostile guest against every device: see HostileMachine for what is checked, after each step.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HostileMachine } from './hostile-machine.ts';
import { programs } from './step.ts';
import { SUBJECTS } from './subjects.ts';

const PROGRAMS = 1500;
const STEPS = 40;

test.each(SUBJECTS.map((subject) => [subject.name, subject] as const))(
  '%s: whatever a guest does, memory that it did not offer stays, turns are short, and a reset helps',
  async (_, subject) => {
    let failures = 0;
    await fc.assert(
      fc.asyncProperty(programs(STEPS), async (program) => {
        const machine = new HostileMachine(subject);
        await machine.run(program);
        failures += machine.failures;
      }),
      { numRuns: PROGRAMS },
    );

    // The programs do get at the rings.
    expect(failures).toBeGreaterThan(PROGRAMS / 20);
  },
  120_000,
);
