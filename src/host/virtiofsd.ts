// virtiofsd, the program that serves a folder to a guest: Debian 12 has the one in C (QEMU's), Debian 13 the one in Rust.
import { type BackEndError, BackEndProcess, findProgram } from './back-end-process.ts';
import type { CachePolicy } from './cache-policy.ts';

/** Which program it is: they differ in their options. */
export type VirtiofsdFlavour = 'c' | 'rust';

export interface VirtiofsdProgram {
  readonly path: string;
  readonly flavour: VirtiofsdFlavour;
}

/** Where the programs are, the better one first. */
const PROGRAMS: readonly VirtiofsdProgram[] = [
  { path: '/usr/libexec/virtiofsd', flavour: 'rust' },
  { path: '/usr/lib/qemu/virtiofsd', flavour: 'c' },
];

/** What of it is up to whoever runs the VM. */
export interface VirtiofsdChoice {
  /** @default the first of those that Debian installs */
  readonly program?: VirtiofsdProgram;
  /** Put at the end of the command line. @default none */
  readonly extraArgs?: readonly string[];
}

export interface VirtiofsdOptions extends VirtiofsdChoice {
  /** The folder to serve. Mounts made in it later are served too, but not by the C program when `readOnly`. */
  readonly directory: string;
  /** Whether the guest can change nothing in it. @default false */
  readonly readOnly?: boolean;
  /** @default auto */
  readonly cache?: CachePolicy;
  /** Called when it ends by itself, never after its disposal. */
  readonly onEnd?: (failure: BackEndError) => void;
}

/** The program at a path that somebody names: one in C where QEMU has its own, else one in Rust. */
export function virtiofsdAt(path: string): VirtiofsdProgram {
  return PROGRAMS.find((program) => program.path === path) ?? { path, flavour: 'rust' };
}

/** @throws BackEndError NOT_FOUND when none is installed */
export function findVirtiofsd(): VirtiofsdProgram {
  const advice = 'install the package virtiofsd (Debian 13) or qemu-system-common (Debian 12)';
  return findProgram('virtiofsd', PROGRAMS, advice);
}

/**
 * The command line. In both programs:
 * - the sandbox is chroot: with a mount namespace of its own, virtiofsd would not see mounts made after its start, and
 *   the caller's own mount namespace separates already;
 * - extended attributes and ACLs are those of the folder, as a container in a namespace would see them;
 * - submounts are announced, so that files of different file systems do not share (device, inode) pairs in the guest.
 * @param fd the socket that it listens on
 */
export function virtiofsdCommand(options: VirtiofsdOptions, program: VirtiofsdProgram, fd: number): string[] {
  const { directory, readOnly = false, cache = 'auto', extraArgs = [] } = options;
  switch (program.flavour) {
    case 'rust':
      return [
        program.path,
        `--fd=${fd}`,
        `--shared-dir=${directory}`,
        '--sandbox=chroot',
        `--cache=${cache}`,
        '--xattr',
        '--posix-acl',
        '--announce-submounts',
        '--log-level=warn',
        ...(readOnly ? ['--readonly'] : []),
        ...extraArgs,
      ];
    case 'c': {
      // A comma would begin the next option.
      const source = directory.replaceAll(/[\\,]/g, '\\$&');
      const mode = cache === 'never' ? 'none' : cache;
      const command = [
        program.path,
        `--fd=${fd}`,
        '-f',
        '-o',
        `source=${source},sandbox=chroot,cache=${mode},xattr,posix_acl,announce_submounts,log_level=warn`,
        ...extraArgs,
      ];
      return readOnly ? [...readOnlyMountCommand(directory), ...command] : command;
    }
  }
}

/**
 * The one in C has no option for it, so it gets the folder through a mount that is read-only, in a mount namespace of its
 * own: a hostile guest cannot get around what the kernel refuses to the program. Of the mounts below the folder it sees none,
 * since they would be writable.
 */
function readOnlyMountCommand(directory: string): string[] {
  const script = '/usr/bin/mount --bind "$1" "$1" && /usr/bin/mount -o remount,bind,ro "$1" && shift && exec "$@"';
  return ['/usr/bin/unshare', '--mount', '--propagation', 'private', '--', '/bin/sh', '-c', script, 'sh', directory];
}

/** Starts a virtiofsd. @throws BackEndError NOT_FOUND, SystemError */
export function startVirtiofsd(options: VirtiofsdOptions): BackEndProcess {
  const { directory, onEnd, program = findVirtiofsd() } = options;
  return new BackEndProcess({
    name: `${program.path}, serving ${directory}`,
    command: (fd) => virtiofsdCommand(options, program, fd),
    socket: 'listening',
    ...(onEnd === undefined ? {} : { onEnd }),
  });
}
