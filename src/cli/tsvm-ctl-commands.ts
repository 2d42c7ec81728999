// The command line of `tsvm ctl`. What its verbs do is in tsvm-ctl.ts, which loads gRPC, and is loaded on use.
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { SHUTDOWN_METHODS, type ShutdownMethod } from '../vmm/operations.ts';
import { parseMemoryMib } from '../vmm/sizes.ts';
import type { ConsoleFlags } from './tsvm-ctl-console.ts';

const SOCKET_FLAG = '--api-socket <path>';
const SOCKET_HELP = "the VM's API socket, as given to `tsvm boot --api-socket`";

interface Json {
  readonly json?: boolean;
}

export interface ResizeFlags extends Json {
  readonly memory?: number;
  readonly cpus?: number;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a number of seconds, 0 to 86400.');
  return value;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function loadVerbs() {
  return import('./tsvm-ctl.ts');
}

type Verbs = Awaited<ReturnType<typeof loadVerbs>>;
/** Some work answers with an exit status; all else that settles is a success. */
type Work = (verbs: Verbs, socket: string) => Promise<unknown>;
type Run = (work: Work) => Promise<void>;

/** Does the work with the socket that was named. @returns the exit status */
async function outcome(command: Command, work: Work): Promise<number> {
  const { apiSocket } = command.opts<{ apiSocket: string }>();
  const status = await work(await loadVerbs(), apiSocket);
  return typeof status === 'number' ? status : 0;
}

export function defineCtl(program: Command, finish: (status: number) => void): void {
  const ctl = program
    .command('ctl')
    .description('Ask something of a VM that runs with --api-socket.')
    .requiredOption(SOCKET_FLAG, SOCKET_HELP)
    .addHelpText(
      'after',
      `
Exit status: 0 done; 1 refused, or nobody there (the message says why); 2 usage; 124 shutdown had to kill the guest.
docs/tsvm-api.md describes the API, which any gRPC client can speak.

Examples:
  tsvm boot --kernel vmlinux --disk root.ext4 --api-socket /run/vm.sock
  tsvm ctl --api-socket /run/vm.sock state
  tsvm ctl --api-socket /run/vm.sock metrics --json
  tsvm ctl --api-socket /run/vm.sock console
  tsvm ctl --api-socket /run/vm.sock shutdown --method acpi --timeout 30`,
    );

  /** Does what a verb says with the socket that was named. */
  const run: Run = async (work) => finish(await outcome(ctl, work));

  ctl
    .command('state')
    .description('Tell what the VM is made of and what it does.')
    .option('--json', 'print it as JSON')
    .action((flags: Json) => run((verbs, socket) => verbs.state(socket, flags)));
  ctl
    .command('pause')
    .description('Stop the guest between two instructions.')
    .action(() => run((verbs, socket) => verbs.pause(socket)));
  ctl
    .command('resume')
    .description('Let a paused guest go on, or start one that was made with --paused.')
    .action(() => run((verbs, socket) => verbs.resume(socket)));
  ctl
    .command('shutdown')
    .description('Ask the guest to end, and wait until it has.')
    .addOption(
      new Option(
        '--method <method>',
        'acpi presses the power button, ctrl-alt-del types it, agent asks the agent by vsock, kill does not ask',
      )
        .choices(SHUTDOWN_METHODS)
        .default('acpi' satisfies ShutdownMethod),
    )
    .option('--timeout <seconds>', 'kill the guest when it has not ended by then; 0 waits without end', seconds, 60)
    .action((flags: { method: ShutdownMethod; timeout: number }) =>
      run((verbs, socket) => verbs.shutdown(socket, flags)),
    );
  ctl
    .command('kill')
    .description('End the VM at once.')
    .action(() => run((verbs, socket) => verbs.kill(socket)));
  addSnapshot(ctl, run);
  ctl
    .command('metrics')
    .description('Tell exits by reason, counters of the devices, and memory.')
    .option('--json', 'print it as JSON')
    .action((flags: Json) => run((verbs, socket) => verbs.metrics(socket, flags)));
  ctl
    .command('events')
    .description('Print what happens to the VM, a line each, until it ends.')
    .option('--json', 'a JSON object a line')
    .action((flags: Json) => run((verbs, socket) => verbs.events(socket, flags)));
  ctl
    .command('balloon')
    .description('Tell what the balloon holds, or set what it is to hold: the guest has that much less.')
    .argument('[size]', '64M, 1G; a plain number is MiB', parseMemoryMib)
    .option('--json', 'print it as JSON')
    .action((size: number | undefined, flags: Json) => run((verbs, socket) => verbs.balloon(socket, size, flags)));
  ctl
    .command('resize')
    .description('Give the guest more memory and processors, or take some of what it got since its start.')
    .option('--memory <size>', '512M, 2G; a plain number is MiB: from `tsvm boot --memory` to its max', parseMemoryMib)
    .option('--cpus <count>', "from 1 to `tsvm boot --cpus`' max; by the agent in the guest", wholeNumber)
    .option('--json', 'print what the guest has then as JSON')
    .action((flags: ResizeFlags) => run((verbs, socket) => verbs.resize(socket, flags)));
  ctl
    .command('link')
    .description('Plug the cable of a network device in or out.')
    .argument('<device>', 'its name, as `state` tells it')
    .addArgument(new Argument('<position>', 'plugged in or out').choices(['up', 'down']))
    .action((device: string, position: string) =>
      run((verbs, socket) => verbs.link(socket, device, position === 'up')),
    );
  ctl
    .command('console')
    .description('Connect this terminal to a console of the guest.')
    .addArgument(new Argument('[name]', 'default: hvc0 if there is one, else serial').choices(['serial', 'hvc0']))
    .option('--read-only', 'only read')
    .addOption(new Option('--take-over', 'take the right to write from who has it').conflicts('readOnly'))
    .addHelpText('after', '\nKeys: Ctrl-a x leaves the console, Ctrl-a a sends Ctrl-a, Ctrl-a h shows this.')
    .action((name: string | undefined, flags: ConsoleFlags) =>
      run(async (_verbs, socket) => (await import('./tsvm-ctl-console.ts')).attach(socket, name ?? '', flags)),
    );
}

/** `tsvm snapshot`: the same as `tsvm ctl snapshot`. */
export function defineSnapshot(program: Command, finish: (status: number) => void): void {
  const command: Command = addSnapshot(program, async (work) => finish(await outcome(command, work)));
  command.requiredOption(SOCKET_FLAG, SOCKET_HELP).addHelpText(
    'after',
    `
Exit status: 0 done; 1 refused, or nobody there; 2 usage.

Example:
  tsvm snapshot --api-socket /run/vm.sock /srv/snapshots/one
  tsvm restore /srv/snapshots/one`,
  );
}

function addSnapshot(parent: Command, run: Run): Command {
  return parent
    .command('snapshot')
    .description('Write the whole state of the VM to a folder that is not there yet.')
    .argument('<directory>', 'where to; `tsvm restore` takes it')
    .option('--pause', 'leave the VM paused afterwards')
    .action((directory: string, flags: { pause?: boolean }) =>
      run((verbs, socket) => verbs.snapshot(socket, directory, flags)),
    );
}
