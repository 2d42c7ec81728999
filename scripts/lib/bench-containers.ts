// The runtimes that containers are measured under, and what is done to them; on the host.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildDirectory } from './paths.ts';

export const TSKATA = join(buildDirectory, 'bin/tskata');
const PEERS = [['/usr/sbin/runc', '/usr/bin/runc'], ['/usr/bin/crun']].flatMap(
  (places) => places.find((path) => existsSync(path)) ?? [],
);

export interface Runtime {
  readonly name: string;
  readonly program: string;
}

/** tskata, and the peers that the host has. */
export const RUNTIMES: readonly Runtime[] = [TSKATA, ...PEERS].map((program) => ({
  program,
  name: program.split('/').at(-1) ?? program,
}));

export interface BundleOptions {
  readonly args: readonly string[];
  /** Of the container's memory, MiB; absent for none. */
  readonly memoryMib?: number;
}

/** Makes a bundle below `folder`, for any number of containers; gives its path. */
export function makeBundle(folder: string, { args, memoryMib }: BundleOptions): string {
  const bundle = mkdtempSync(join(folder, 'bundle-'));
  spawnSync('cp', ['-a', join(buildDirectory, 'guest/rootfs'), join(bundle, 'rootfs')]);
  spawnSync(TSKATA, ['spec', '--bundle', bundle]);
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  config.process.terminal = false;
  config.process.args = args;
  if (memoryMib !== undefined) config.linux.resources.memory = { limit: memoryMib * 1024 * 1024 };
  writeFileSync(path, JSON.stringify(config));
  return bundle;
}

/** @returns how long it took, milliseconds @throws Error when it fails */
export function timeCommand(command: readonly string[]): number {
  const [program = '', ...args] = command;
  const startMs = performance.now();
  // Not a pipe: the container would hold it after the command's end.
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const timeMs = performance.now() - startMs;
  if (status !== 0) throw new Error(`${command.join(' ')} ended with status ${status}`);
  return timeMs;
}

let containers = 0;

/** An id that no other container of the benchmark has. */
export function newId(): string {
  return `bench-${process.pid}-${containers++}`;
}

/** The commands of a container's life, as an engine calls them. */
export function lifeOf({ program }: Runtime, bundle: string, id: string): string[][] {
  return [
    [program, 'create', '--bundle', bundle, id],
    [program, 'start', id],
    [program, 'delete', '--force', id],
  ];
}

/** @returns how long the life of a container takes, milliseconds */
export function timeLife(runtime: Runtime, bundle: string): number {
  return lifeOf(runtime, bundle, newId()).reduce((sum, command) => sum + timeCommand(command), 0);
}
