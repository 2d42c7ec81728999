// npm run host -- [OPTION...] COMMAND [ARGUMENT...]: runs a command as root on a host whose KVM can run Linux.
import { constants } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_HOST_RELEASE, HOST_RELEASES, type HostRelease } from '../images/host/build.ts';
import { chooseHost, DEFAULT_SIZE, describeHost, type HostKind, runEmulated, runOnHost } from './lib/host.ts';
import { EmulatedHost, type MachineSize } from './lib/host-machine.ts';
import { reportFailure } from './lib/report.ts';

const STATUS_USAGE = 2;
const END_GRACE_MS = 3000;

interface Options {
  readonly timeout?: number;
  readonly keep?: true;
  readonly memory: number;
  readonly cpus: number;
  readonly release?: HostRelease;
  readonly emulated?: true;
  readonly native?: true;
}

function positiveNumber(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('It must be a number greater than 0.');
  return number;
}

function positiveInteger(text: string): number {
  const number = positiveNumber(text);
  if (!Number.isInteger(number)) throw new InvalidArgumentError('It must be a whole number.');
  return number;
}

/** Reads a size such as 4G or 512M, in MiB. */
function memorySizeMib(text: string): number {
  const match = /^(\d+)([MG])$/.exec(text);
  if (match === null) throw new InvalidArgumentError('It must look like 4G or 2048M.');
  return Number(match[1]) * (match[2] === 'G' ? 1024 : 1);
}

async function main(command: readonly string[], options: Options): Promise<void> {
  const chosen = await chooseHost();
  const kind: HostKind = options.emulated || options.release ? 'emulated' : options.native ? 'native' : chosen.kind;
  const size: MachineSize = { memoryMib: options.memory, cpus: options.cpus };
  const asking = (['emulated', 'native', 'release'] as const).find((name) => options[name] !== undefined);
  const reason = asking === undefined ? chosen.reason : `asked for by --${asking}`;
  if (options.keep && !(process.stdin.isTTY && process.stdout.isTTY)) {
    fail('--keep gives a shell, which needs a terminal as its input and output');
    return;
  }
  if (!options.keep && command.length === 0) {
    fail('no command given; --help tells more');
    return;
  }
  process.stderr.write(`tskata: ${describeHost({ kind, reason })}\n`);

  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => {
      abort.abort(name);
      // A host that is still being built or started does not look at the signal; what it has started ends with us.
      setTimeout(() => process.exit(128 + constants.signals[name]), END_GRACE_MS).unref();
    });
  const timeout = options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 };
  const release = options.release === undefined ? {} : { release: options.release };
  const run = { command, kind, size, signal: abort.signal, ...release, ...timeout };
  process.exitCode = options.keep && kind === 'emulated' ? await keep(run, abort.signal) : await runOnHost(run);
  if (options.keep && kind === 'native')
    process.exitCode = await runOnHost({ command: ['bash'], kind, signal: abort.signal });
  process.stdin.destroy(); // a terminal or pipe that nobody has closed would keep this process
}

/** Runs the command if there is one, then a shell, on one emulated host. Gives the status of the last. */
async function keep(run: Parameters<typeof runOnHost>[0], signal: AbortSignal): Promise<number> {
  await using host = await EmulatedHost.start(run.size ?? DEFAULT_SIZE, run.release);
  if (run.command.length > 0) {
    const status = await runEmulated(host, { ...run, stdin: 'none' });
    process.stderr.write(`tskata: the command ended with status ${status}; a shell follows\n`);
  }
  const windowSize = (): { rows: number; columns: number } => ({
    rows: process.stdout.rows,
    columns: process.stdout.columns,
  });
  const resize = (): void => host.resize(windowSize());
  process.stdin.setRawMode(true);
  process.stdout.on('resize', resize);
  try {
    return await runEmulated(host, { command: ['bash', '-l'], signal }, windowSize());
  } finally {
    process.stdout.off('resize', resize);
    process.stdin.setRawMode(false);
  }
}

function fail(message: string): void {
  process.stderr.write(`tskata: ${message}\n`);
  process.exitCode = STATUS_USAGE;
}

await new Command('npm run host --')
  .description(
    'Runs a command as root on a host whose KVM can run Linux: this machine if it can, else an emulated one.\n' +
      'The project folder is the same inside, and writable. Standard streams and exit status pass through\n' +
      '(128 + N when signal N ended the command, 124 when its time was up).',
  )
  .argument('[command...]', 'program and arguments, passed on as they are')
  .option('--timeout <seconds>', 'kill the command after this time', positiveNumber)
  .option('--keep', 'afterwards (or without a command) give a shell there')
  .option('--memory <size>', 'memory of the emulated host', memorySizeMib, DEFAULT_SIZE.memoryMib)
  .option('--cpus <number>', 'processors of the emulated host', positiveInteger, DEFAULT_SIZE.cpus)
  .addOption(new Option('--emulated', 'use the emulated host even if this machine could').conflicts('native'))
  .addOption(
    new Option('--release <name>', `use the emulated host, of this Debian release (else ${DEFAULT_HOST_RELEASE})`)
      .choices(HOST_RELEASES)
      .conflicts('native'),
  )
  .addOption(new Option('--native', 'use this machine even if it cannot').conflicts('emulated'))
  .passThroughOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : STATUS_USAGE))
  .action(main)
  .parseAsync()
  .catch(reportFailure);
