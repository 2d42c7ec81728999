// Makes tests of the cases, for one engine.
import { beforeAll, describe, type TestContext, test } from 'vitest';
import { type Case, type ContainerCase, type Difference, differenceFor, type Expectation } from './case.ts';
import { suite } from './cases/index.ts';
import { type ContainerConfig, containerConfig } from './config.ts';
import type { Ended, Engine } from './engine.ts';
import type { Place } from './place.ts';
import { verify } from './verify.ts';

const PROGRAM = '/bin/probe';

/** @param choose which of the cases to run; all unless given */
export function describeSuite(
  name: string,
  startEngine: () => Promise<Engine>,
  choose: (one: Case) => boolean = () => true,
): void {
  describe(`conformance of ${name}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine();
      return () => engine[Symbol.asyncDispose]();
    });
    const chosen = Object.entries(suite).map(([concern, cases]) => [concern, cases.filter(choose)] as const);
    for (const [concern, cases] of chosen.filter(([, { length }]) => length > 0)) {
      describe(concern, () => {
        for (const one of cases) {
          test(`${one.field}: ${one.name}`, async (context) => {
            const difference = differenceFor(engine, one);
            skipWhatCannotBe(context, engine, one, difference);
            await ('scenario' in one ? one.scenario(engine) : runCase(engine, one, difference ?? one));
          });
        }
      });
    }
  });
}

function skipWhatCannotBe(context: TestContext, engine: Engine, one: Case, difference: Difference | undefined): void {
  context.skip(difference?.skipped === true, difference?.reason);
  const missing = (one.needs ?? []).filter((controller) => !engine.controllers.includes(controller));
  context.skip(missing.length > 0, `no cgroup controller ${missing.join(', ')} here; the virtual machine has it`);
}

async function runCase(engine: Engine, one: ContainerCase, expectation: Expectation): Promise<void> {
  const place = engine.place();
  one.prepare?.(place);
  const parts = typeof one.config === 'function' ? one.config(place) : (one.config ?? {});
  const args = [PROGRAM, ...one.commands];
  const ended =
    one.exec === undefined
      ? await engine.run(place, containerConfig(args, parts), one.input)
      : await execIn(engine, place, containerConfig([PROGRAM, 'await-signal'], parts), { args, ...one.exec });
  verify(ended, expectation);
}

/** Runs a process in a container that waits for nothing else. @param process what differs from the container's own */
async function execIn(engine: Engine, place: Place, config: ContainerConfig, process: object): Promise<Ended> {
  const running = await engine.start(place, config);
  try {
    return await running.exec({ ...config.process, ...process });
  } finally {
    await running.remove();
  }
}
