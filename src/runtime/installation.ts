// Where the parts of this installation are, by absolute path: engines start verbs without a PATH.
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RuntimeError } from './runtime-error.ts';

export interface Installation {
  /** The Node that runs us. */
  readonly node: string;
  /** The sandbox process's program for that Node. */
  readonly sandboxProgram: string;
  readonly proxy: string;
  readonly kernel: string;
  readonly initramfs: string;
}

/** Bundles are in `dist` of the installed tree; sources run from `src/runtime` of the project, whose tree is `build`. */
function installedTree(): string {
  const folder = import.meta.dirname;
  return basename(folder) === 'dist' ? dirname(folder) : join(dirname(dirname(folder)), 'build');
}

export function findInstallation(): Installation {
  const tree = installedTree();
  return {
    node: process.execPath,
    sandboxProgram: join(tree, 'dist/sandbox.js'),
    proxy: join(tree, 'lib/tskata-proxy'),
    kernel: join(tree, 'guest/vmlinux'),
    initramfs: join(tree, 'guest/initramfs.cpio'),
  };
}

/** The program that engines call: a file of the installed tree, which a user may have linked to from elsewhere. */
export function launcherPath(): string {
  return join(installedTree(), 'bin/tskata');
}

/** @throws RuntimeError naming the first part that is missing */
export function checkInstallation(installation: Installation): void {
  for (const [part, path] of Object.entries(installation)) {
    if (existsSync(path)) continue;
    const message = `this installation is incomplete: its ${part} is not at ${path}; build it with: npm run build`;
    throw new RuntimeError('NOT_INSTALLED', message, { path });
  }
}
