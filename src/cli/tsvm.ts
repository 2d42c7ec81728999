// The command line of `tsvm`: which verbs there are and what they take. Each verb's work is in a file of its own, loaded on use.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../lib/errors.ts';
import { VERSION } from '../lib/version.ts';
import type { VmConfigError } from '../vmm/config-error.ts';
import type { RunFlags } from './run-vm.ts';
import type { BootFlags } from './tsvm-boot.ts';
import { defineCtl, defineSnapshot } from './tsvm-ctl-commands.ts';
import type { RestoreFlags } from './tsvm-restore.ts';

/** Exit status of a command line that does not parse, as in getopt's tradition. */
const USAGE_ERROR = 2;
const HELP_HINT = '(tsvm --help, or tsvm VERB --help, tells more)';

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/** What was typed, without the defaults: those of `--no-...` flags would hide what a configuration file says. */
function givenFlags(command: Command): BootFlags & RestoreFlags {
  const given = Object.entries(command.opts()).filter(([name]) => command.getOptionValueSource(name) === 'cli');
  return Object.fromEntries(given);
}

function collect(text: string, previous: string[] = []): string[] {
  return [...previous, text];
}

/** The flags of every verb that runs a VM, after those that say what it is. */
function addRunFlags(command: Command): void {
  command
    .option('--api-socket <path>', 'serve the management API there, for `tsvm ctl`; the socket is for this user alone')
    .option('--paused', 'do not start the guest: `tsvm ctl resume` does')
    .option('--timeout <seconds>', 'end the VM after this time, with exit status 124', positiveNumber)
    .option('--report <file>', 'at the end write timeline, exits, devices and memory as JSON, and as a picture (.svg)')
    .hook('preAction', () => {
      const { paused, apiSocket } = command.opts<RunFlags>();
      if (paused === true && apiSocket === undefined)
        command.error('error: --paused needs --api-socket: nobody could resume it');
    });
}

const RUN_HELP = `
Keys: Ctrl-a x ends the VM, Ctrl-a a sends Ctrl-a, Ctrl-a h shows this; all others are the guest's, Ctrl-c too.
Exit status: 0 the guest reset, powered off, or was ended by Ctrl-a x; 1 it failed or could not start; 2 usage;
  124 --timeout; 128+n ended by signal n (a second signal ends it at once); 137 killed by \`tsvm ctl\`;
  141 nobody reads the output any more.`;

function defineCommands(finish: (status: number) => void): Command {
  const program = new Command('tsvm')
    .description('A virtual machine monitor on /dev/kvm, for experiments and CI.')
    .version(`tsvm version ${VERSION}`)
    .exitOverride()
    .showHelpAfterError(HELP_HINT);

  const boot = program
    .command('boot')
    .description('Boot a kernel; the terminal is its serial console. Ends when the guest resets or powers off.')
    .option('--config <file>', "TOML or JSON file with these flags' names as keys; flags come on top of it")
    .option('--kernel <file>', 'ELF vmlinux or bzImage')
    .option('--initrd <file>', 'initial RAM file system (alias: --initramfs)')
    .addOption(new Option('--initramfs <file>', 'the same as --initrd').hideHelp())
    .option(
      '--cmdline <text>',
      'the kernel\'s command line (default: "console=ttyS0 reboot=k panic=-1"; hvc0 with --console)',
    )
    .option(
      '--memory <size[,max=size]>',
      'guest memory: 128M, 2G; a plain number is MiB (default: 256M); max: up to how much it can grow while it runs',
    )
    .option('--hugepages <size>', "guest memory from the host's pool of huge pages, 2M or 1G, or transparent")
    .option('--prefault', 'take all of guest memory before the guest starts')
    .option('--cpus <count[,max=count]>', 'virtual CPUs, 1 to 32 (default: 1); max: how many it can have while it runs')
    .option(
      '--disk <path[,option]...>',
      'virtio block device on an image or block device, with ro, id=ID, cache=MODE or format=FORMAT (qcow2, vmdk, vdi, vhdx, vpc, qed, by qemu-storage-daemon); or vhost-user=SOCKET of a program; may be repeated',
      collect,
    )
    .option(
      '--net <end[,option]...>',
      'virtio network device; its end is tap=NAME or fd=N (with vhost=on by the kernel), passt (with tcp=PORTS and udp=PORTS to the guest, as 8080:80) or none; also mac=MAC, mtu=BYTES, rx-rate=BYTES, tx-rate=BYTES; may be repeated',
      collect,
    )
    .option(
      '--share <tag=directory[,option]...>',
      'virtio file system, served by virtiofsd, with ro or cache=auto|always|never; may be repeated',
      collect,
    )
    .option(
      '--vsock <cid=path|cid,vhost=on>',
      "virtio vsock: the guest's CID, and the Unix socket of the host side or the host's own AF_VSOCK sockets",
    )
    .option(
      '--console [file=PATH]',
      'virtio console hvc0 on the terminal instead of the serial port; its output is appended to the file',
    )
    .option(
      '--balloon [target=SIZE][,deflate-on-oom][,free-page-reporting][,stats=SECONDS]',
      'virtio balloon, by which the guest gives memory back; target: how much it is to give up',
    )
    .option('--no-serial', 'no serial port: nothing is shown, and fewer exits')
    .option('--no-entropy', 'no virtio entropy device')
    .addHelpText(
      'after',
      `${RUN_HELP}

Examples:
  tsvm boot --kernel vmlinux --initrd initramfs.cpio --memory 128M --cpus 2
  tsvm boot --kernel bzImage --disk root.ext4 --cmdline "console=ttyS0 root=/dev/vda rw"
  tsvm boot --kernel vmlinux --initrd i.cpio --share data=/srv/data --vsock 3=/run/vm.sock`,
    )
    .action(async (_flags: BootFlags, command: Command) => {
      const verb = await import('./tsvm-boot.ts');
      finish(await verb.boot(givenFlags(command)));
    });
  addRunFlags(boot);

  const restore = program
    .command('restore')
    .description('Make a VM go on from a snapshot. Ends as a VM that was booted does.')
    .argument('<directory>', 'what `tsvm snapshot` wrote')
    .option('--disk <path[,option]...>', "disks instead of the snapshot's, as for boot; all that there were", collect)
    .option('--net <end[,option]...>', "network devices instead of the snapshot's, as for boot", collect)
    .option('--share <tag=directory[,option]...>', "shares instead of the snapshot's, as for boot", collect)
    .option('--vsock <cid=path|cid,vhost=on>', "vsock instead of the snapshot's: a clone needs a path of its own")
    .option(
      '--no-verify',
      'do not compare the memory file with its digest: saves reading it, when it is known to be whole',
    )
    .addHelpText(
      'after',
      `${RUN_HELP}

Examples:
  tsvm restore /srv/snapshots/one
  tsvm restore /srv/snapshots/one --vsock 3=/run/clone.sock --api-socket /run/clone-api.sock`,
    )
    .action(async (directory: string, _flags: RestoreFlags, command: Command) => {
      const verb = await import('./tsvm-restore.ts');
      finish(await verb.restore(directory, givenFlags(command)));
    });
  addRunFlags(restore);
  defineSnapshot(program, finish);
  defineCtl(program, finish);

  program
    .command('check')
    .description('Tell whether this machine can run VMs, why not, and what to do. Exit status 0 only when it can.')
    .option('--json', 'print it as JSON')
    .action(async (flags: { json?: boolean }) => {
      const { check } = await import('./tsvm-check.ts');
      finish(await check({ json: flags.json === true }));
    });

  return program;
}

/** By its code: where a verb is bundled by itself, its errors are of classes of its own. */
function isOfConfiguration(error: unknown): boolean {
  const code: VmConfigError['code'] = 'INVALID_CONFIG';
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Runs one command line. @returns the exit status; nothing is thrown */
export async function runTsvm(args: readonly string[]): Promise<number> {
  let status = 0;
  try {
    await defineCommands((value) => {
      status = value;
    }).parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR;
    process.stderr.write(`tsvm: ${messageOf(error)}\n`);
    if (!isOfConfiguration(error)) return 1;
    process.stderr.write(`${HELP_HINT}\n`);
    return USAGE_ERROR;
  }
}
