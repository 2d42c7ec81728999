// Folders shared with the emulated host: one virtiofsd each, of Debian 12 (the C one) or newer (the Rust one).
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from './host-error.ts';
import { run } from './run.ts';

/** A folder that the emulated host mounts by its tag. */
export interface Share {
  readonly tag: string;
  readonly directory: string;
  /**
   * `fresh`: every look inside sees what is outside at that moment.
   * `kept`: the emulated host keeps what it has read. For folders whose files do not change while it runs.
   */
  readonly caching: 'fresh' | 'kept';
}

/** Which virtiofsd a machine has: they spell their options differently. */
export interface Virtiofsd {
  readonly path: string;
  readonly kind: 'c' | 'rust';
}

/** Where Debian puts virtiofsd: 13 and newer, 12. */
const PLACES = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'];
const START_TIMEOUT_MS = 60_000;

/** Finds this machine's virtiofsd. */
export async function findVirtiofsd(places: readonly string[] = PLACES): Promise<Virtiofsd> {
  const path = places.find((place) => existsSync(place));
  if (path === undefined)
    throw new HostError(
      'missing-program',
      `no virtiofsd in ${places.join(' or ')}: apt-get install virtiofsd (Debian 12: qemu-system-common)`,
    );
  const help = await run(path, ['--help']);
  return { path, kind: help.includes('--shared-dir') ? 'rust' : 'c' };
}

/** The command line of a virtiofsd that serves a share on a Unix socket. */
export function virtiofsdCommand(virtiofsd: Virtiofsd, share: Share, socketPath: string): string[] {
  if (virtiofsd.kind === 'rust') {
    // `auto` may show attributes that are a second old, hence `never`; without mmap no shared library could be loaded.
    const caching = share.caching === 'fresh' ? ['--cache=never', '--allow-mmap'] : ['--cache=always'];
    return [
      virtiofsd.path,
      `--socket-path=${socketPath}`,
      `--shared-dir=${share.directory}`,
      '--sandbox=chroot',
      '--xattr',
      '--log-level=error',
      ...caching,
    ];
  }
  // With `none` nothing could be mapped shared; `auto` reads again at each open, and `timeout=0` asks for attributes anew.
  const caching = share.caching === 'fresh' ? ['-o', 'cache=auto', '-o', 'timeout=0'] : ['-o', 'cache=always'];
  const options = ['-o', `source=${share.directory}`, '-o', 'sandbox=chroot', '-o', 'xattr', '-o', 'log_level=err'];
  const command = [virtiofsd.path, `--socket-path=${socketPath}`, '--thread-pool-size=0', ...options, ...caching];
  // It leaves a lock file in /run/virtiofsd for each socket it ever served: give it a /run of its own.
  return ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /run && exec "$@"', 'sh', ...command];
}

/** Makes a command end, by SIGKILL, when the thread that starts it ends: also when that one is killed with SIGKILL. */
export function boundToParent(command: readonly string[]): [string, string[]] {
  return ['setpriv', ['--pdeathsig', 'KILL', '--', ...command]];
}

/** Starts a virtiofsd; ready for QEMU to connect when this resolves. It ends when QEMU disconnects or we end. */
export async function startVirtiofsd(virtiofsd: Virtiofsd, share: Share, socketPath: string): Promise<ChildProcess> {
  const [program, args] = boundToParent(virtiofsdCommand(virtiofsd, share, socketPath));
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let errors = '';
  let ended = false;
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-2000);
  });
  child.on('error', (error) => {
    errors += error.message;
    ended = true;
  });
  child.on('exit', () => {
    ended = true;
  });
  for (const startMs = performance.now(); !listens(socketPath); await sleep(5)) {
    if (!ended && performance.now() - startMs < START_TIMEOUT_MS) continue;
    child.kill('SIGKILL');
    throw new HostError('start-failed', `${virtiofsd.path} does not serve ${share.directory}: ${errors.trim()}`);
  }
  return child;
}

/** Whether a process listens on this Unix socket; asked of the kernel, as virtiofsd takes one connection only. */
function listens(socketPath: string): boolean {
  const SO_ACCEPTCON = 0x10000; // include/uapi/linux/net.h: the Flags column of /proc/net/unix
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some(
      (line) => line.endsWith(` ${socketPath}`) && (Number.parseInt(line.split(' ')[3] ?? '', 16) & SO_ACCEPTCON) !== 0,
    );
}
