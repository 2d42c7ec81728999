// The command line of `tskata`: which verbs there are and what they take, runc's flags with runc's meanings. Each verb's work is
// in a file of its own, loaded on use: engines call verbs by the dozen, and each pays for its start.
import { resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import type { LogFormat, LogOptions } from '../lib/node/log-file.ts';
import { OCI_RUNTIME_SPEC_VERSION, VERSION } from '../lib/version.ts';
import { type CgroupFlags, isRootless } from '../runtime/cgroup-flags.ts';
import { findInstallation, type Installation } from '../runtime/installation.ts';
import {
  count,
  type Flags,
  type FlagValues,
  type Found,
  nothingFound,
  readCommandLine,
  switched,
  text,
  textOr,
  texts,
  UsageError,
  word,
} from './command-line.ts';
import { print, printError } from './tskata-output.ts';
import {
  CHECKPOINT_FLAGS,
  EVENTS_FLAGS,
  INSTALL_FLAGS,
  PS_FLAGS,
  RESTORE_FLAGS,
  UNINSTALL_FLAGS,
  UPDATE_FLAGS,
} from './tskata-verb-flags.ts';

/** runc's exit status of a verb that it does not know (urfave/cli). */
const UNKNOWN_VERB_STATUS = 3;

/** What all verbs share. */
export interface GlobalOptions {
  /** Absolute path of the folder of all containers' state. */
  readonly root: string;
  readonly log: LogOptions;
  /** Logs a warning. */
  readonly warn: (message: string) => Promise<void>;
  readonly installation: Installation;
  readonly cgroup: CgroupFlags;
  /** The configuration's file, where it is not the usual one. */
  readonly config?: string | undefined;
  /** Where `run` writes the timeline of the start. */
  readonly report?: string | undefined;
}

export interface Verb {
  readonly name: string;
  /** What follows the name, for the help. */
  readonly usage: string;
  readonly about: string;
  readonly flags: Flags;
  /** How many there may be at least and at most. */
  readonly arguments: readonly [minimum: number, maximum: number];
  /** Whether flags end at the first argument: what follows is somebody else's command line. */
  readonly endsAtArgument: boolean;
  /** @returns the exit status; 0 when there is none */
  // biome-ignore lint/suspicious/noExplicitAny: each verb has flags of its own, which `verb` knows
  readonly run: (globals: GlobalOptions, args: readonly string[], flags: any) => Promise<number | undefined>;
}

/** @param run loads the verb's own file, and nothing before it is called */
function verb<F extends Flags>(
  description: Pick<Verb, 'name' | 'usage' | 'about' | 'arguments'> & { flags?: F; endsAtArgument?: boolean },
  // biome-ignore lint/suspicious/noConfusingVoidType: most verbs have no status of their own
  run: (globals: GlobalOptions, args: readonly string[], flags: FlagValues<F>) => Promise<number | void>,
): Verb {
  return { flags: {}, endsAtArgument: false, ...description, run: async (...call) => (await run(...call)) ?? 0 };
}

function defaultRoot(): string {
  const runtimeDirectory = process.env['XDG_RUNTIME_DIR'];
  const isRoot = process.getuid?.() === 0;
  return isRoot || runtimeDirectory === undefined ? '/run/tskata' : `${runtimeDirectory}/tskata`;
}

function versionText(): string {
  // The form that dockerd parses.
  return `tskata version ${VERSION}\ncommit: v${VERSION}\nspec: ${OCI_RUNTIME_SPEC_VERSION}\nnode: ${process.version}\n`;
}

const GLOBAL_FLAGS = {
  debug: switched({ about: "log more; create and run: the guest's console too, into sandbox.log" }),
  log: text({ placeholder: 'file', about: 'write log lines to this file instead of standard error' }),
  'log-format': textOr('text', { placeholder: 'format', about: "format of log lines: 'text' or 'json'" }),
  root: textOr(defaultRoot(), {
    placeholder: 'directory',
    about: 'where the state of containers is kept; should be a tmpfs',
  }),
  config: text({
    placeholder: 'file',
    about: 'configuration, in the place of /etc/tskata/config.toml (docs/configuration.md)',
  }),
  'systemd-cgroup': switched({ about: 'cgroupsPath has the form slice:prefix:name' }),
  criu: text({ placeholder: 'path', about: 'taken for compatibility', isHidden: true }),
  rootless: word(['true', 'false', 'auto'], 'auto', {
    placeholder: 'when',
    about: 'ignore errors of cgroup permissions: true, false or auto',
  }),
  report: text({
    placeholder: 'file',
    about: 'with run: write the moments of the start and the counts of VM exits there, as JSON',
  }),
  version: switched({ short: 'v', about: 'print the version' }),
} as const;

/** The flags that `create`, `run` and `exec` share. */
const START_FLAGS = {
  'console-socket': text({ placeholder: 'path', about: 'Unix socket that gets the master of the terminal' }),
  'pidfd-socket': text({
    placeholder: 'path',
    about: 'Unix socket that gets a pidfd of the process that stands for the one in the guest',
  }),
  'pid-file': text({
    placeholder: 'path',
    about: 'write the pid of the process that stands for the one in the guest there',
  }),
  'preserve-fds': count({
    placeholder: 'count',
    about: 'must be 0: file descriptors cannot be passed into a virtual machine',
  }),
} as const;

/** The flags that `create` and `run` share. */
const CREATE_FLAGS = {
  bundle: textOr('.', { placeholder: 'path', short: 'b', about: 'folder of the bundle' }),
  ...START_FLAGS,
  'no-pivot': switched({ about: 'taken for compatibility: how the root is entered is up to the guest' }),
  'no-new-keyring': switched({
    about: 'taken for compatibility: each container has the keyrings of a kernel of its own',
  }),
} as const;

const EXEC_FLAGS = {
  ...START_FLAGS,
  cwd: text({ placeholder: 'path', about: 'working directory in the container' }),
  env: texts({ placeholder: 'NAME=value', short: 'e', about: 'add to the environment; may be given again' }),
  tty: switched({ short: 't', about: 'with a terminal' }),
  user: text({ placeholder: 'uid[:gid]', short: 'u', about: 'user and group, as numbers' }),
  'additional-gids': texts({ placeholder: 'gid', short: 'g', about: 'one more group; may be given again' }),
  process: text({
    placeholder: 'file',
    short: 'p',
    about: 'process object as JSON, in the place of the flags that describe one and of ARGS',
  }),
  detach: switched({ short: 'd', about: 'leave the process running' }),
  'process-label': text({
    placeholder: 'label',
    about: "taken for compatibility: the guest's kernel has no SELinux",
  }),
  apparmor: text({ placeholder: 'profile', about: "taken for compatibility: the guest's kernel has no AppArmor" }),
  'no-new-privs': switched({ about: 'without ways to more privileges' }),
  cap: texts({ placeholder: 'capability', short: 'c', about: 'add a capability; may be given again' }),
  cgroup: texts({ placeholder: 'path', about: "refused: processes are in the container's own cgroup" }),
  'ignore-paused': switched({ about: 'in a paused container too: the process runs once that is resumed' }),
} as const;

const VERBS: readonly Verb[] = [
  verb(
    {
      name: 'create',
      usage: '[options] ID',
      about: 'Create a container from a bundle; start runs its program.',
      arguments: [1, 1],
      flags: CREATE_FLAGS,
    },
    async (globals, [id = ''], flags) => {
      const { create } = await import('./tskata-create.ts');
      await create(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'run',
      usage: '[options] ID',
      about: "Create and start a container, and end with its program's status.",
      arguments: [1, 1],
      flags: {
        ...CREATE_FLAGS,
        detach: switched({ short: 'd', about: 'leave the container running' }),
        keep: switched({ about: 'do not delete the container after it ended' }),
        'no-subreaper': switched({ about: 'taken for compatibility' }),
      },
    },
    async (globals, [id = ''], flags) => {
      const { run } = await import('./tskata-run.ts');
      return await run(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'exec',
      usage: '[options] ID COMMAND [ARGS...]',
      about: 'Run a process in a container.',
      arguments: [1, Number.POSITIVE_INFINITY],
      flags: EXEC_FLAGS,
      endsAtArgument: true,
    },
    async (globals, [id = '', ...command], flags) => {
      const { exec } = await import('./tskata-exec.ts');
      return await exec(globals, flags, id, command);
    },
  ),
  verb(
    { name: 'pause', usage: 'ID', about: 'Let all processes of a container stand still.', arguments: [1, 1] },
    async (globals, [id = '']) => {
      const { pause } = await import('./tskata-pause.ts');
      await pause(globals, id);
    },
  ),
  verb(
    { name: 'resume', usage: 'ID', about: 'Let the processes of a paused container go on.', arguments: [1, 1] },
    async (globals, [id = '']) => {
      const { resume } = await import('./tskata-pause.ts');
      await resume(globals, id);
    },
  ),
  verb(
    { name: 'start', usage: 'ID', about: 'Run the program of a created container.', arguments: [1, 1] },
    async (globals, [id = '']) => {
      const { start } = await import('./tskata-start.ts');
      await start(globals, id);
    },
  ),
  verb(
    { name: 'state', usage: 'ID', about: 'Print the state of a container as JSON.', arguments: [1, 1] },
    async (globals, [id = '']) => {
      const { state } = await import('./tskata-state.ts');
      await state(globals, id);
    },
  ),
  verb(
    {
      name: 'kill',
      usage: '[options] ID [SIGNAL]',
      about: "Send a signal (default: SIGTERM) to a container's first process.",
      arguments: [1, 2],
      flags: { all: switched({ short: 'a', about: 'send it to all processes of the container', isHidden: true }) },
    },
    async (globals, [id = '', signal], { all = false }) => {
      const { kill } = await import('./tskata-kill.ts');
      await kill(globals, id, signal, all);
    },
  ),
  verb(
    {
      name: 'delete',
      usage: '[options] ID',
      about: 'Delete a container that has stopped, with all it holds.',
      arguments: [1, 1],
      flags: { force: switched({ short: 'f', about: 'kill it first if it runs; no error if there is none' }) },
    },
    async (globals, [id = ''], { force = false }) => {
      const { deleteVerb } = await import('./tskata-delete.ts');
      await deleteVerb(globals, id, force);
    },
  ),
  verb(
    {
      name: 'update',
      usage: '[options] ID',
      about: 'Change limits of a container; what is not named stays as it is.',
      arguments: [1, 1],
      flags: UPDATE_FLAGS,
    },
    async (globals, [id = ''], flags) => {
      const { update } = await import('./tskata-update.ts');
      await update(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'ps',
      usage: '[options] ID [PS OPTIONS]',
      about:
        'List the processes of a container. Of the options of ps(1), -e, -f and -A are taken: they are the default.',
      arguments: [1, Number.POSITIVE_INFINITY],
      flags: PS_FLAGS,
      endsAtArgument: true,
    },
    async (globals, [id = '', ...options], { format }) => {
      const { ps } = await import('./tskata-ps.ts');
      await ps(globals, id, format, options);
    },
  ),
  verb(
    {
      name: 'events',
      usage: '[options] ID',
      about: 'Print statistics of a container, and when it ran out of memory, as lines of JSON until it ends.',
      arguments: [1, 1],
      flags: EVENTS_FLAGS,
    },
    async (globals, [id = ''], flags) => {
      const { events } = await import('./tskata-events.ts');
      await events(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'checkpoint',
      usage: '[options] ID',
      about: 'Save a container with its virtual machine, and end it.',
      arguments: [1, 1],
      flags: CHECKPOINT_FLAGS,
    },
    async (globals, [id = ''], flags) => {
      const { checkpoint } = await import('./tskata-checkpoint.ts');
      await checkpoint(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'restore',
      usage: '[options] ID',
      about: 'Let a container go on from a checkpoint, in a virtual machine of its own.',
      arguments: [1, 1],
      flags: RESTORE_FLAGS,
    },
    async (globals, [id = ''], flags) => {
      const { restore } = await import('./tskata-checkpoint.ts');
      return await restore(globals, flags, id);
    },
  ),
  verb(
    {
      name: 'list',
      usage: '[options]',
      about: 'List the containers below --root.',
      arguments: [0, 0],
      flags: {
        format: textOr('table', { placeholder: 'format', short: 'f', about: 'table or json' }),
        quiet: switched({ short: 'q', about: 'ids only' }),
      },
    },
    async (globals, _args, { format, quiet = false }) => {
      const { list } = await import('./tskata-list.ts');
      await list(globals, format, quiet);
    },
  ),
  verb(
    {
      name: 'spec',
      usage: '[options]',
      about: 'Write a config.json to start from.',
      arguments: [0, 0],
      flags: {
        bundle: textOr('.', { placeholder: 'path', short: 'b', about: 'folder to write it into' }),
        rootless: switched({ about: "for a user who is not root: the container's root is the one who calls" }),
      },
    },
    async (_globals, _args, { bundle, rootless = false }) => {
      const { spec } = await import('./tskata-spec.ts');
      spec(bundle, rootless);
    },
  ),
  verb(
    { name: 'features', usage: '', about: 'Print what this runtime supports as JSON.', arguments: [0, 0] },
    async () => {
      const { features } = await import('./tskata-features.ts');
      await features();
    },
  ),
  verb(
    {
      name: 'config',
      usage: '[options]',
      about: 'Print the configuration, and where each value comes from.',
      arguments: [0, 0],
      flags: {
        format: textOr('toml', { placeholder: 'format', short: 'f', about: 'toml or json' }),
        check: switched({ about: 'print nothing; the status tells whether the configuration can be used' }),
      },
    },
    async (globals, _args, { format, check = false }) => {
      const { config } = await import('./tskata-config.ts');
      await config(globals, format, check);
    },
  ),
  verb(
    {
      name: 'install',
      usage: '[options] docker|podman|containerd|crio|kubernetes',
      about: "Make tskata a runtime of an engine, in the engine's own configuration (docs/install.md).",
      arguments: [1, 1],
      flags: INSTALL_FLAGS,
    },
    async (globals, [engine = ''], flags) => {
      const { install } = await import('./tskata-install.ts');
      await install(globals, flags, engine);
    },
  ),
  verb(
    {
      name: 'uninstall',
      usage: '[options] docker|podman|containerd|crio|kubernetes',
      about: 'Take out of the configuration of an engine what install has written.',
      arguments: [1, 1],
      flags: UNINSTALL_FLAGS,
    },
    async (globals, [engine = ''], flags) => {
      const { uninstall } = await import('./tskata-install.ts');
      await uninstall(globals, flags, engine);
    },
  ),
];

/** A verb that there is not. */
class UnknownVerbError extends Error {}

/** runc's check of a verb's arguments, in its words. */
function checkArguments({ name, arguments: [minimum, maximum] }: Verb, { length }: readonly string[]): void {
  const requires = (what: string): never => {
    throw new ArgumentCountError(`tskata: "${name}" requires ${what} argument(s)`);
  };
  if (minimum === maximum && length !== minimum) requires(`exactly ${minimum}`);
  if (length < minimum) requires(`a minimum of ${minimum}`);
  if (length > maximum) requires(`a maximum of ${maximum}`);
}

class ArgumentCountError extends UsageError {}

type GlobalFlags = FlagValues<typeof GLOBAL_FLAGS>;

function logOptions({ log, logFormat, debug }: GlobalFlags): LogOptions {
  if (logFormat !== 'text' && logFormat !== 'json') throw new Error(`invalid log-format: ${logFormat}`);
  const format: LogFormat = logFormat;
  return { file: log, format, debug: debug === true };
}

function globalOptions(flags: GlobalFlags, installation: Installation): GlobalOptions {
  const log = logOptions(flags);
  const warn = async (message: string): Promise<void> => {
    const { writeLog } = await import('../lib/node/log-file.ts');
    await writeLog(log, 'warning', message);
  };
  const { config, report } = flags;
  const cgroup = { systemdCgroup: flags.systemdCgroup === true, rootless: isRootless(flags.rootless) };
  return { root: stateRoot(flags.root), log, warn, installation, cgroup, config, report };
}

/** @throws Error as runc does: an empty text, or "." at the wrong place, must not fill the root of the file system */
function stateRoot(flag: string): string {
  const root = resolve(flag);
  if (root === '/') throw new Error('Option --root argument should not be set to /');
  return root;
}

async function printHelp(verb?: Verb): Promise<void> {
  const { helpText } = await import('./tskata-help.ts');
  await print(helpText(GLOBAL_FLAGS, VERBS, verb));
}

function findVerb(name: string): Verb {
  const found = VERBS.find((verb) => verb.name === name);
  if (found === undefined) throw new UnknownVerbError(`No help topic for '${name}'\n`);
  return found;
}

/**
 * Runs one command line.
 * @param installation the parts to run with; tests exchange some
 * @returns the exit status; nothing is thrown
 */
export async function runTskata(commandLine: readonly string[], installation = findInstallation()): Promise<number> {
  const global = nothingFound(GLOBAL_FLAGS);
  let verb: Verb | undefined;
  try {
    readCommandLine(commandLine, GLOBAL_FLAGS, global, true);
    const flags = global.values as unknown as GlobalFlags;
    const [name, ...rest] = global.args;
    if (flags.version === true && !global.wantsHelp) {
      await print(versionText());
    } else if (name === 'help') {
      await printHelp(rest[0] === undefined ? undefined : findVerb(rest[0]));
    } else if (global.wantsHelp || name === undefined) {
      await printHelp();
    } else {
      verb = findVerb(name);
      return await runVerb(verb, rest, () => globalOptions(flags, installation));
    }
    return 0;
  } catch (error) {
    return await reportError(global, verb, error);
  }
}

async function runVerb(verb: Verb, words: readonly string[], globals: () => GlobalOptions): Promise<number> {
  const found = nothingFound(verb.flags);
  readCommandLine(words, verb.flags, found, verb.endsAtArgument);
  if (found.wantsHelp) {
    await printHelp(verb);
    return 0;
  }
  checkArguments(verb, found.args);
  return (await verb.run(globals(), found.args, found.values)) ?? 0;
}

async function reportError(global: Found, verb: Verb | undefined, error: unknown): Promise<number> {
  const message = messageOf(error);
  if (error instanceof UsageError) {
    const detail = error instanceof ArgumentCountError ? '.' : `: ${message}`;
    await print(`Incorrect Usage${detail}\n\n`)
      .then(() => printHelp(verb))
      .catch(() => {});
  }
  const flags = global.values as unknown as GlobalFlags;
  const { writeLog } = await import('../lib/node/log-file.ts');
  const format = flags.logFormat === 'json' ? 'json' : 'text';
  try {
    if (flags.debug === true && error instanceof Error && error.stack !== undefined) {
      await writeLog({ file: flags.log, format, debug: true }, 'debug', error.stack);
    }
    await writeLog({ file: flags.log, format, debug: false }, 'error', message);
  } catch (logError) {
    printError(`tskata: cannot write the log file ${flags.log}: ${messageOf(logError)}\n`);
  }
  // As runc does: who reads standard error learns of it too.
  if (flags.log !== undefined) printError(`${message}\n`);
  if (error instanceof UnknownVerbError) return UNKNOWN_VERB_STATUS;
  return (error as { exitStatus?: number }).exitStatus ?? 1;
}
