// Kconfig silently drops an option whose dependencies are not met, and turns others on again. This makes it loud.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildDirectory, projectDirectory } from '../scripts/lib/paths.ts';
import { mergeWants, parseConfig, parseFragment, type Want } from './fragment.ts';

/** An option that came out otherwise than its fragment wants it. */
export interface Mismatch {
  readonly want: Want;
  /** Value in the final .config; undefined when it does not mention the option. */
  readonly actual: string | undefined;
}

/** Compares the wants with a final .config (the result of `parseConfig`). Off and not mentioned are the same. */
export function findMismatches(wants: readonly Want[], config: ReadonlyMap<string, string>): Mismatch[] {
  return wants
    .map((want) => ({ want, actual: config.get(want.option) }))
    .filter(({ want, actual }) => (actual ?? 'n') !== want.value);
}

/** Kconfig did not give the fragments what they want. */
export class KernelConfigError extends Error {
  readonly code = 'KERNEL_CONFIG';
  readonly mismatches: readonly Mismatch[];
  constructor(mismatches: readonly Mismatch[]) {
    const lines = mismatches.map(({ want, actual }) => {
      const place = `kernel-config/${want.fragment}:${want.line}`;
      return `  ${want.option}: wanted ${want.value} (${place}), got ${actual ?? 'nothing: unknown, or a dependency is off'}`;
    });
    super(
      `the kernel's final .config differs from the fragments:\n${lines.join('\n')}\n` +
        'Look up "depends on" and "select" of these options in the Kconfig files of the source, then change the fragment.',
    );
    this.name = 'KernelConfigError';
    this.mismatches = mismatches;
  }
}

/**
 * Fails unless a final .config gives every fragment what it wants.
 * @throws KernelConfigError that names each option, its fragment, the wanted and the actual value
 */
export function checkConfig(wants: readonly Want[], configText: string): void {
  const mismatches = findMismatches(wants, parseConfig(configText));
  if (mismatches.length > 0) throw new KernelConfigError(mismatches);
}

/** Reads all fragments of this folder. */
export function readFragments(): Want[] {
  const folder = join(projectDirectory, 'kernel-config');
  const names = readdirSync(folder).filter((name) => name.endsWith('.config'));
  return mergeWants(names.sort().map((name) => parseFragment(name, readFileSync(join(folder, name), 'utf8'))));
}

if (import.meta.main) {
  const path = process.argv[2] ?? join(buildDirectory, 'guest/kernel.config');
  const wants = readFragments();
  checkConfig(wants, readFileSync(path, 'utf8'));
  console.log(`${path}: all ${wants.length} options are as the fragments want them`);
}
