// A case: what of config.json it is about, the container, and what the program in it finds.
import type { Parts } from './config.ts';
import type { Engine, World } from './engine.ts';
import type { Place } from './place.ts';

export interface Expectation {
  /** What the probe finds: a result for each command, as `toMatchObject` compares. */
  readonly finds?: Readonly<Record<string, unknown>>;
  /** Exit status, 0 unless said. */
  readonly status?: number;
  /** The container is not made, for a reason that reads like this. */
  readonly refused?: RegExp;
}

/** Where an engine does not do what the others do. */
export interface Difference extends Expectation {
  readonly reason: string;
  /** There is nothing to compare. */
  readonly skipped?: boolean;
}

interface Named {
  readonly name: string;
  /** Path in config.json, or `escape` where none is meant. */
  readonly field: string;
  /** cgroup controllers without which there is nothing to see. */
  readonly needs?: readonly string[];
  readonly differs?: Readonly<Partial<Record<World, Difference>>>;
  /** One of the few that run through the `tskata` command as well. */
  readonly endToEnd?: boolean;
}

/** One container, whose program is the probe. */
export interface ContainerCase extends Named, Expectation {
  prepare?(place: Place): void;
  readonly config?: Parts | ((place: Place) => Parts);
  /** The commands of the probe. */
  readonly commands: readonly string[];
  /** Members of the process object with which an exec runs the commands, in a container whose own program waits. */
  readonly exec?: Readonly<Record<string, unknown>>;
  readonly input?: string;
}

/** Several containers, or a container and what happens around it. */
export interface ScenarioCase extends Named {
  scenario(engine: Engine): Promise<void>;
}

export type Case = ContainerCase | ScenarioCase;

/** The difference that holds for an engine. The narrowest of its worlds comes first. */
export function differenceFor(engine: Engine, { differs }: Case): Difference | undefined {
  return engine.worlds.map((world) => differs?.[world]).find((difference) => difference !== undefined);
}

/** All that a case says of differences. */
export function differencesOf({ differs }: Case): [string, Difference][] {
  return Object.entries(differs ?? {});
}
