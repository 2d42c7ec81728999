// The search for a program that a device does not stand: batches of random programs, each batch from a seed of its own that is
// derived from the first, so that any batch can be found again.
import fc from 'fast-check';
import type { HostileCase } from '../../test/hostile/case-file.ts';
import { HostileMachine } from '../../test/hostile/hostile-machine.ts';
import { type Program, programs } from '../../test/hostile/step.ts';
import type { Subject } from '../../test/hostile/subject.ts';

const PROGRAMS_PER_BATCH = 500;
/** Longer than in the tests: there is time. */
const MAX_STEPS = 80;

export interface FuzzLimits {
  /** Programs in all; undefined: no limit. */
  readonly runs: number | undefined;
  /** Milliseconds of wall time; undefined: no limit. */
  readonly durationMs: number | undefined;
}

export interface FuzzProgress {
  readonly programs: number;
  /** How often a device needed a reset: programs that got at the rings. */
  readonly resets: number;
  readonly seed: number;
}

export interface FuzzOutcome extends FuzzProgress {
  /** The first violation, made as small as could be. */
  readonly found: HostileCase | undefined;
}

/** Seeds of batches: distinct 32-bit numbers (the additive constant is odd). */
export function batchSeed(first: number, batch: number): number {
  return (first + Math.imul(batch, 0x9e37_79b1)) | 0;
}

/** Runs programs against the devices in turn until a limit is reached or one is violated. */
export async function fuzz(
  subjects: readonly Subject[],
  firstSeed: number,
  limits: FuzzLimits,
  onProgress: (progress: FuzzProgress) => void,
): Promise<FuzzOutcome> {
  const deadline = limits.durationMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + limits.durationMs;
  const runs = limits.runs ?? Number.POSITIVE_INFINITY;
  const sum = { programs: 0, resets: 0 };
  for (let batch = 0; sum.programs < runs && performance.now() < deadline; batch++) {
    const seed = batchSeed(firstSeed, Math.floor(batch / subjects.length));
    const subject = subjects[batch % subjects.length];
    if (subject === undefined) break;
    const found = await runBatch(subject, seed, Math.min(PROGRAMS_PER_BATCH, runs - sum.programs), sum);
    const progress = { ...sum, seed };
    if (found !== undefined) return { ...progress, found };
    onProgress(progress);
  }
  return { ...sum, seed: firstSeed, found: undefined };
}

async function runBatch(
  subject: Subject,
  seed: number,
  numRuns: number,
  sum: { programs: number; resets: number },
): Promise<HostileCase | undefined> {
  const property = fc.asyncProperty(programs(MAX_STEPS), async (program) => {
    const machine = new HostileMachine(subject);
    sum.programs += 1;
    await machine.run(program);
    sum.resets += machine.failures;
  });
  const details = await fc.check(property, { seed, numRuns });
  if (!details.failed) return undefined;
  const program: Program = details.counterexample?.[0] ?? [];
  return { device: subject.name, seed, violation: messageOf(details.errorInstance), program };
}

/** Runs one program again. @returns what was violated, if anything */
export async function replay(subject: Subject, program: Program): Promise<string | undefined> {
  try {
    await new HostileMachine(subject).run(program);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
