// Our containerd shim, which tells containerd what a container takes in its guest. It finds the program beside itself, and which
// options containerd's shim for runc needs, so that a configuration names it and nothing else.
import { basename, dirname, join } from 'node:path';
import { RUNTIME } from './engine.ts';
import type { SystemRoot } from './system-root.ts';

const SHIM = `containerd-shim-${RUNTIME}-v2`;

/** How an engine is to call us: by our shim, or the program itself by containerd's shim for runc. */
export type Shim =
  | { readonly path: string }
  | {
      readonly path?: undefined;
      /** What stands against our shim, where somebody should know. */
      readonly because?: string;
    };

/** What is wanted with --no-shim. */
export const NO_SHIM: Shim = {};

/**
 * The shim beside the program, or beside what it is a link to. Not beside a program of another name: the shim would call the
 * `tskata` there in its place.
 */
export function findShim(program: string, root: SystemRoot): Shim {
  const path = [program, root.follow(program) ?? program]
    .filter((one) => basename(one) === RUNTIME)
    .map((one) => join(dirname(one), SHIM))
    .find((one) => root.isProgram(one));
  return path === undefined ? { because: `there is no ${SHIM} for ${program} beside it` } : { path };
}

/** @param refusal why the engine could not call a shim; undefined where it can */
export function usableShim(shim: Shim, refusal: string | undefined): Shim {
  return shim.path === undefined || refusal === undefined ? shim : { because: refusal };
}

export function shimWarnings(shim: Shim): string[] {
  if (shim.path !== undefined || shim.because === undefined) return [];
  const effect = `the program is called by containerd's shim for runc, and the engine's statistics of a container will be those of its VM on the host`;
  return [`${shim.because}: ${effect}`];
}
