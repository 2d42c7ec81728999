// The command line of `tskata`: which verbs there are and what they take, runc's flags with runc's meanings. Each verb's work is
// in a file of its own, loaded on use: engines call verbs by the dozen, and each pays for its start.
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../lib/errors.ts';
import type { LogFormat, LogOptions } from '../lib/node/log-file.ts';
import { OCI_RUNTIME_SPEC_VERSION, VERSION } from '../lib/version.ts';
import { type CgroupFlags, isRootless } from '../runtime/cgroup-flags.ts';
import { findInstallation, type Installation } from '../runtime/installation.ts';
import { goFlags } from './go-flags.ts';
import type { CreateFlags, RunFlags } from './tskata-create.ts';
import type { ExecVerbFlags } from './tskata-exec.ts';
import { print } from './tskata-output.ts';

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
  /** Where `run` writes the timeline of the start. */
  readonly report?: string | undefined;
}

/** The flags before the verb, as commander gives them. */
interface GlobalFlags {
  readonly debug?: boolean;
  readonly log?: string;
  readonly logFormat: string;
  readonly root: string;
  readonly systemdCgroup?: boolean;
  readonly rootless: string;
  readonly report?: string;
}

const BOOLEAN_FLAGS = new Set(
  'debug systemd-cgroup help version no-pivot no-new-keyring detach d keep no-subreaper all a force f quiet q tty t no-new-privs ignore-paused'.split(
    ' ',
  ),
);
/** Verbs whose arguments are somebody else's command line: flags end at the first. */
const PASSING_VERBS = new Set(['exec']);

/** A usage error: runc's text, after the verb's help. */
class UsageError extends Error {}

function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('parse error');
  return Number(text);
}

/** For a flag that may be given again and again. */
function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

/** runc's check of a verb's arguments, in its words. */
function checkArguments(verb: string, args: readonly string[], minimum: number, maximum: number): void {
  if (minimum === maximum && args.length !== minimum) {
    throw new UsageError(`tskata: "${verb}" requires exactly ${minimum} argument(s)`);
  }
  if (args.length < minimum) throw new UsageError(`tskata: "${verb}" requires a minimum of ${minimum} argument(s)`);
  if (args.length > maximum) throw new UsageError(`tskata: "${verb}" requires a maximum of ${maximum} argument(s)`);
}

function defaultRoot(): string {
  const runtimeDirectory = process.env['XDG_RUNTIME_DIR'];
  const isRoot = process.getuid?.() === 0;
  return isRoot || runtimeDirectory === undefined ? '/run/tskata' : `${runtimeDirectory}/tskata`;
}

function versionText(): string {
  // The form that dockerd parses.
  return `tskata version ${VERSION}\ncommit: v${VERSION}\nspec: ${OCI_RUNTIME_SPEC_VERSION}\nnode: ${process.version}`;
}

/** The flags that `create`, `run` and `exec` share. */
function addStartFlags(command: Command): Command {
  return command
    .option('--console-socket <path>', 'Unix socket that gets the master of the terminal')
    .option(
      '--pidfd-socket <path>',
      'Unix socket that gets a pidfd of the process that stands for the one in the guest',
    )
    .option('--pid-file <path>', 'write the pid of the process that stands for the one in the guest there')
    .option('--preserve-fds <count>', 'must be 0: file descriptors cannot be passed into a virtual machine', count, 0);
}

/** The flags that `create` and `run` share. */
function addCreateFlags(command: Command): Command {
  return addStartFlags(command.option('-b, --bundle <path>', 'folder of the bundle (default: the current folder)', '.'))
    .option('--no-pivot', 'taken for compatibility: how the root is entered is up to the guest')
    .option('--no-new-keyring', 'taken for compatibility: each container has the keyrings of a kernel of its own');
}

function addExecFlags(command: Command): Command {
  return addStartFlags(command)
    .option('--cwd <path>', 'working directory in the container')
    .option('-e, --env <NAME=value>', 'add to the environment; may be given again', collect)
    .option('-t, --tty', 'with a terminal')
    .option('-u, --user <uid[:gid]>', 'user and group, as numbers')
    .option('-g, --additional-gids <gid>', 'one more group; may be given again', collect)
    .option('-p, --process <file>', 'process object as JSON, in the place of the flags that describe one and of ARGS')
    .option('-d, --detach', 'leave the process running')
    .option('--process-label <label>', "taken for compatibility: the guest's kernel has no SELinux")
    .option('--apparmor <profile>', "taken for compatibility: the guest's kernel has no AppArmor")
    .option('--no-new-privs', 'without ways to more privileges')
    .option('-c, --cap <capability>', 'add a capability; may be given again', collect)
    .option('--cgroup <path>', "refused: processes are in the container's own cgroup", collect)
    .option('--ignore-paused', 'in a paused container too: the process runs once that is resumed')
    .passThroughOptions();
}

function defineCommands(installation: Installation, finish: (status: number) => void): Command {
  const program = new Command('tskata')
    .description('An OCI runtime, called as runc is, that runs each container inside a virtual machine of its own.')
    .usage('[global options] command [command options] [arguments...]')
    .option('--debug', "log more; create and run: the guest's console too, into sandbox.log")
    .option('--log <file>', 'write log lines to this file instead of standard error')
    .option('--log-format <format>', "format of log lines: 'text' or 'json'", 'text')
    .option('--root <directory>', 'where the state of containers is kept; should be a tmpfs', defaultRoot())
    .option('--systemd-cgroup', 'cgroupsPath has the form slice:prefix:name')
    .addOption(new Option('--criu <path>').hideHelp())
    .addOption(
      new Option('--rootless <when>', 'ignore errors of cgroup permissions')
        .choices(['true', 'false', 'auto'])
        .default('auto'),
    )
    .option('--report <file>', 'with run: write the moments of the start and the counts of VM exits there, as JSON')
    .version(versionText(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .enablePositionalOptions();

  const globals = (): GlobalOptions => {
    const flags = program.opts<GlobalFlags>();
    const log = logOptions(flags);
    const warn = async (message: string): Promise<void> => {
      const { writeLog } = await import('../lib/node/log-file.ts');
      await writeLog(log, 'warning', message);
    };
    const cgroup = { systemdCgroup: flags.systemdCgroup === true, rootless: isRootless(flags.rootless) };
    return { root: resolve(flags.root), log, warn, installation, cgroup, report: flags.report };
  };
  const verb = (name: string, usage: string, description: string): Command =>
    program.command(name).description(description).usage(usage).argument('[args...]').allowExcessArguments();

  addCreateFlags(verb('create', '[options] ID', 'Create a container from a bundle; start runs its program.')).action(
    async (args: string[], flags: CreateFlags) => {
      checkArguments('create', args, 1, 1);
      const { create } = await import('./tskata-create.ts');
      await create(globals(), flags, String(args[0]));
    },
  );
  addCreateFlags(verb('run', '[options] ID', "Create and start a container, and end with its program's status."))
    .option('-d, --detach', 'leave the container running')
    .option('--keep', 'do not delete the container after it ended')
    .option('--no-subreaper', 'taken for compatibility')
    .action(async (args: string[], flags: RunFlags) => {
      checkArguments('run', args, 1, 1);
      const { run } = await import('./tskata-run.ts');
      finish(await run(globals(), flags, String(args[0])));
    });
  addExecFlags(verb('exec', '[options] ID COMMAND [ARGS...]', 'Run a process in a container.')).action(
    async (args: string[], flags: ExecVerbFlags) => {
      checkArguments('exec', args, 1, Number.POSITIVE_INFINITY);
      const { exec } = await import('./tskata-exec.ts');
      const [id = '', ...command] = args;
      finish(await exec(globals(), flags, id, command));
    },
  );
  verb('pause', 'ID', 'Let all processes of a container stand still.').action(async (args: string[]) => {
    checkArguments('pause', args, 1, 1);
    const { pause } = await import('./tskata-pause.ts');
    await pause(globals(), String(args[0]));
  });
  verb('resume', 'ID', 'Let the processes of a paused container go on.').action(async (args: string[]) => {
    checkArguments('resume', args, 1, 1);
    const { resume } = await import('./tskata-pause.ts');
    await resume(globals(), String(args[0]));
  });
  verb('start', 'ID', 'Run the program of a created container.').action(async (args: string[]) => {
    checkArguments('start', args, 1, 1);
    const { start } = await import('./tskata-start.ts');
    await start(globals(), String(args[0]));
  });
  verb('state', 'ID', 'Print the state of a container as JSON.').action(async (args: string[]) => {
    checkArguments('state', args, 1, 1);
    const { state } = await import('./tskata-state.ts');
    await state(globals(), String(args[0]));
  });
  verb('kill', '[options] ID [SIGNAL]', "Send a signal (default: SIGTERM) to a container's first process.")
    .option('-a, --all', 'send it to all processes of the container')
    .action(async (args: string[], flags: { all?: boolean }) => {
      checkArguments('kill', args, 1, 2);
      const { kill } = await import('./tskata-kill.ts');
      await kill(globals(), String(args[0]), args[1], flags.all === true);
    });
  verb('delete', '[options] ID', 'Delete a container that has stopped, with all it holds.')
    .option('-f, --force', 'kill it first if it runs; no error if there is none')
    .action(async (args: string[], flags: { force?: boolean }) => {
      checkArguments('delete', args, 1, 1);
      const { deleteVerb } = await import('./tskata-delete.ts');
      await deleteVerb(globals(), String(args[0]), flags.force === true);
    });
  verb('list', '[options]', 'List the containers below --root.')
    .option('-f, --format <format>', 'table or json', 'table')
    .option('-q, --quiet', 'ids only')
    .action(async (args: string[], flags: { format: string; quiet?: boolean }) => {
      checkArguments('list', args, 0, 0);
      const { list } = await import('./tskata-list.ts');
      await list(globals(), flags.format, flags.quiet === true);
    });
  verb('spec', '[options]', 'Write a config.json to start from.')
    .option('-b, --bundle <path>', 'folder to write it into', '.')
    .action(async (args: string[], flags: { bundle: string }) => {
      checkArguments('spec', args, 0, 0);
      const { spec } = await import('./tskata-spec.ts');
      spec(flags.bundle);
    });
  verb('features', '', 'Print what this runtime supports as JSON.').action(async (args: string[]) => {
    checkArguments('features', args, 0, 0);
    const { features } = await import('./tskata-features.ts');
    await features();
  });
  return program;
}

function logOptions({ log, logFormat, debug }: GlobalFlags): LogOptions {
  if (logFormat !== 'text' && logFormat !== 'json') throw new Error(`invalid log-format: ${logFormat}`);
  const format: LogFormat = logFormat;
  return { file: log, format, debug: debug === true };
}

/** runc's words for what commander found wrong with a command line. */
function usageMessage(error: CommanderError): string {
  const name = /'(?:.*?)--?([\w-]+)/.exec(error.message)?.[1] ?? '';
  if (error.code === 'commander.unknownOption') return `flag provided but not defined: -${name}`;
  if (error.code === 'commander.optionMissingArgument') return `flag needs an argument: -${name}`;
  if (error.code === 'commander.unknownCommand') {
    return `No help topic for '${/'(.*?)'/.exec(error.message)?.[1]}'\n`;
  }
  const invalid = /^error: option .* argument '(.*)' is invalid\. (.*)$/.exec(error.message);
  if (invalid !== null) return `invalid value "${invalid[1]}" for flag -${name}: ${invalid[2]}`;
  return error.message.replace(/^error: /, '');
}

/**
 * Runs one command line.
 * @param installation the parts to run with; tests exchange some
 * @returns the exit status; nothing is thrown
 */
export async function runTskata(commandLine: readonly string[], installation = findInstallation()): Promise<number> {
  let status = 0;
  const program = defineCommands(installation, (value) => {
    status = value;
  });
  // What commander would print about errors is printed below, in runc's words.
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .configureOutput({ writeErr: () => {}, writeOut: (text) => void print(text).catch(() => {}) });
  }
  const args = goFlags(commandLine, BOOLEAN_FLAGS, PASSING_VERBS);
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return await reportError(program, args, error);
  }
}

async function reportError(program: Command, args: readonly string[], error: unknown): Promise<number> {
  const isUnknownVerb = error instanceof CommanderError && error.code === 'commander.unknownCommand';
  const isUsage = !isUnknownVerb && (error instanceof CommanderError || error instanceof UsageError);
  const message = error instanceof CommanderError ? usageMessage(error) : messageOf(error);
  if (isUsage) {
    const detail = error instanceof CommanderError ? `: ${message}` : '.';
    const command = program.commands.find((command) => args.includes(command.name())) ?? program;
    await print(`Incorrect Usage${detail}\n\n${command.helpInformation()}`).catch(() => {});
  }
  const flags = program.opts<GlobalFlags>();
  const { writeLog } = await import('../lib/node/log-file.ts');
  const format = flags.logFormat === 'json' ? 'json' : 'text';
  try {
    if (flags.debug === true && error instanceof Error && error.stack !== undefined) {
      await writeLog({ file: flags.log, format, debug: true }, 'debug', error.stack);
    }
    await writeLog({ file: flags.log, format, debug: false }, 'error', message);
  } catch (logError) {
    process.stderr.write(`tskata: cannot write the log file ${flags.log}: ${messageOf(logError)}\n`);
  }
  // As runc does: who reads standard error learns of it too.
  if (flags.log !== undefined) process.stderr.write(`${message}\n`);
  return isUnknownVerb ? UNKNOWN_VERB_STATUS : ((error as { exitStatus?: number }).exitStatus ?? 1);
}
