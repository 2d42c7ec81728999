// Bundles the programs of the host (src/bin) into build/dist and writes their launchers into build/bin.
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundlePrograms, COMMONJS_PACKAGE, startOf } from './bundles.ts';
import { buildDirectory, pinnedNode, projectDirectory } from './paths.ts';

const PROGRAMS = ['tskata', 'tsvm', 'sandbox'] as const;
/** The programs that a person or an engine starts by name; the others are started by these. */
const LAUNCHED = ['tskata', 'tsvm'] as const;

/** Linux reads 256 bytes of a script for its first line (BINPRM_BUF_SIZE); `#!` and the end of the line take three. */
const MAXIMUM_INTERPRETER = 253;

/**
 * Without a shell, where the kernel takes Node for an interpreter, and then what starts the program itself: each file that Node
 * loads is time. Absolute paths: podman's verbs have no PATH.
 */
function launcher(name: string, dist: string): string {
  const canBeInterpreter = !/\s/.test(pinnedNode) && pinnedNode.length <= MAXIMUM_INTERPRETER;
  return canBeInterpreter
    ? `#!${pinnedNode}\n${startOf(name, JSON.stringify(dist))}`
    : `#!/bin/sh\nexec '${pinnedNode}' '${join(dist, `${name}.js`)}' "$@"\n`;
}

/** Bundles all programs; two seconds' work, so it is not cached. @returns the folder of the launchers */
export async function buildPrograms(): Promise<string> {
  const dist = join(buildDirectory, 'dist');
  const bin = join(buildDirectory, 'bin');
  await bundlePrograms(dist, join(projectDirectory, 'src/bin'), PROGRAMS);
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'package.json'), COMMONJS_PACKAGE);
  for (const name of LAUNCHED) {
    const path = join(bin, name);
    writeFileSync(`${path}.${process.pid}`, launcher(name, dist));
    chmodSync(`${path}.${process.pid}`, 0o755);
    renameSync(`${path}.${process.pid}`, path);
  }
  return bin;
}
