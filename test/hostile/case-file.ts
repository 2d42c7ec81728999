// A failing program in a file, to be run again: what `npm run fuzz` leaves behind.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Program } from './step.ts';

export interface HostileCase {
  /** Name of the subject. */
  readonly device: string;
  /** Of the run that found it. */
  readonly seed: number;
  /** What was violated, in words. */
  readonly violation: string;
  readonly program: Program;
}

export function writeCase(path: string, found: HostileCase): void {
  writeFileSync(path, `${JSON.stringify(found, undefined, 1)}\n`);
}

/** @throws SyntaxError when the file is no case */
export function readCase(path: string): HostileCase {
  const value: Partial<HostileCase> = JSON.parse(readFileSync(path, 'utf8'));
  const { device, seed, violation, program } = value;
  const isCase =
    typeof device === 'string' && typeof seed === 'number' && typeof violation === 'string' && Array.isArray(program);
  if (!isCase || !program.every((step) => typeof step === 'object' && step !== null && typeof step.do === 'string')) {
    throw new SyntaxError(`${path} is no case of the fuzzer: it has device, seed, violation and a list of steps`);
  }
  return { device, seed, violation, program };
}
