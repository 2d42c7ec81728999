// `tskata install` and `tskata uninstall`: show what changes in an engine's configuration, and change it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { basename, isAbsolute, resolve } from 'node:path';
import type { Engine, Found, Setup, Wanted } from '../install/engine.ts';
import { ENGINES } from '../install/engines.ts';
import { InstallError } from '../install/install-error.ts';
import { replaceFile } from '../install/replace-file.ts';
import { findShim, NO_SHIM } from '../install/shim.ts';
import { SystemRoot } from '../install/system-root.ts';
import { unifiedDiff } from '../install/unified-diff.ts';
import { messageOf } from '../lib/errors.ts';
import { loadSettings } from '../runtime/configuration-load.ts';
import { launcherPath } from '../runtime/installation.ts';
import { type FlagValues, UsageError } from './command-line.ts';
import type { GlobalOptions } from './tskata.ts';
import { print, printError } from './tskata-output.ts';
import type { INSTALL_FLAGS, UNINSTALL_FLAGS } from './tskata-verb-flags.ts';

type UninstallFlags = FlagValues<typeof UNINSTALL_FLAGS>;

/** @throws Error naming the file, and what to do */
export async function install(
  globals: GlobalOptions,
  flags: FlagValues<typeof INSTALL_FLAGS>,
  name: string,
): Promise<void> {
  const engine = engineOf(name);
  const file = fileOf(engine, flags);
  if (flags.noShim === true && engine.takesShim !== true) {
    throw new UsageError(`--no-shim is for ${enginesWithShim().join(' and ')}: ${name} calls no shim`);
  }
  const root = new SystemRoot(flags.root);
  const program = flags.path ?? ownProgram();
  const isManifest = engine.file === undefined;
  if (!isManifest) checkProgram(program, root);
  const hostMemoryOverheadMib = isManifest ? await configuredOverhead(globals) : 0;
  const shim = engine.takesShim === true && flags.noShim !== true ? findShim(program, root) : NO_SHIM;
  const setup = { ...lookAround(root), program, shim, hostMemoryOverheadMib };
  if (file === undefined) await print(engine.install({ path: '-', text: undefined }, setup).text ?? '');
  else await change(root, file, flags, engine.next.install, (found) => engine.install(found, setup));
}

async function configuredOverhead({ installation, config }: GlobalOptions): Promise<number> {
  const { values } = await loadSettings(installation, config);
  return values.host_memory_overhead;
}

/** @throws Error naming the file, and what to do */
export async function uninstall(_globals: GlobalOptions, flags: UninstallFlags, name: string): Promise<void> {
  const engine = engineOf(name);
  const file = fileOf(engine, flags);
  const root = new SystemRoot(flags.root);
  const setup = { ...lookAround(root), program: '', shim: NO_SHIM, hostMemoryOverheadMib: 0 };
  if (file === undefined) await print(`nothing is written; next: ${engine.next.uninstall}\n`);
  else await change(root, file, flags, engine.next.uninstall, (found) => engine.uninstall(found, setup));
}

function enginesWithShim(): string[] {
  return Object.keys(ENGINES).filter((name) => ENGINES[name]?.takesShim);
}

function engineOf(name: string): Engine {
  const engine = Object.hasOwn(ENGINES, name) ? ENGINES[name] : undefined;
  if (engine === undefined) {
    throw new UsageError(`there is no engine ${JSON.stringify(name)}: one of ${Object.keys(ENGINES).join(', ')}`);
  }
  return engine;
}

/** @returns undefined for what is printed */
function fileOf({ file }: Engine, { config, output }: UninstallFlags): string | undefined {
  const isPrinted = file === undefined;
  if (isPrinted && config !== undefined) throw new UsageError('kubernetes has no --config: it takes --output');
  if (!isPrinted && output !== undefined) throw new UsageError('--output is for kubernetes: others take --config');
  const named = config ?? output;
  return named === undefined ? file : resolve(named);
}

/** What was called, by the name that it was called by: a link in /usr/local/bin outlives what it leads to. */
function ownProgram(): string {
  const [, called = ''] = process.argv;
  return basename(called) === 'tskata' ? called : launcherPath();
}

/** @throws InstallError for what the engine could not call; in an image, only for what is no absolute path */
function checkProgram(program: string, { isMachine }: SystemRoot): void {
  const fail = (reason: string): never => {
    throw new InstallError('NO_PROGRAM', `--path ${program}: ${reason}`, { path: program });
  };
  if (!isAbsolute(program) || /\p{Cc}/u.test(program)) fail('engines need an absolute path of one line');
  if (!isMachine) return;
  try {
    accessSync(program, constants.X_OK);
  } catch (error) {
    fail(messageOf(error));
  }
  if (!statSync(program).isFile()) fail('not a program');
}

function lookAround(root: SystemRoot): Pick<Setup, 'read' | 'list' | 'engineVersion'> {
  return {
    read: (path) => root.read(path),
    list: (pattern) => root.list(pattern),
    // What is installed here says nothing of an image.
    engineVersion: (program) => (root.isMachine ? askVersion(program) : undefined),
  };
}

/** Daemons are in folders that are in root's PATH only. */
function askVersion(program: string): string | undefined {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', env });
  return status === 0 ? stdout : undefined;
}

async function change(
  root: SystemRoot,
  file: string,
  { dryRun = false }: UninstallFlags,
  next: string,
  decide: (found: Found) => Wanted,
): Promise<void> {
  const path = root.place(file);
  const old = root.read(file);
  const { text, warnings = [] } = decide({ path: file, text: old });
  for (const warning of warnings) printError(`warning: ${warning}\n`);
  if (text === old) {
    await print(`nothing to change in ${path}\n`);
    return;
  }
  await print(unifiedDiff(path, old !== undefined, text));
  if (dryRun) {
    await print(`nothing is written (--dry-run)\n`);
    return;
  }
  replaceFile(path, text);
  await print(`${text === undefined ? 'removed' : 'written'}: ${path}\nnext: ${next}\n`);
}
