// Drives a runtime that takes runc's commands as its callers do, with bundles of its own, and counts what is left behind.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Hooks, LinuxConfig, Mount, Namespace, NamespaceType } from '../../src/oci/config.ts';
import { defaultConfig } from '../../src/oci/default-config.ts';
import type { State } from '../../src/oci/state.ts';

/** The machine's static busybox: a root file system in one file. */
export const BUSYBOX = '/bin/busybox';
/** A tmpfs, as engines use for a runtime's state and bundles. */
const PLACE = '/run';

/** A runtime under test. */
export interface Runtime {
  readonly name: string;
  /** Its program and the arguments that come before any of ours, by absolute path: callers give it no PATH. */
  readonly command: readonly string[];
  /** What it says in the place of runc's words, by these (a pattern by its text); where none stand, runc's are expected. */
  readonly words?: Readonly<Record<string, string | RegExp>>;
}

/** How a command ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface BundleOptions {
  /** The program and its arguments. */
  readonly args: readonly string[];
  readonly terminal?: boolean;
  readonly mounts?: readonly Mount[];
  readonly hooks?: Hooks;
  readonly readonlyRoot?: boolean;
  /** linux.cgroupsPath; otherwise one of the bundle's own. */
  readonly cgroupsPath?: string;
  readonly resources?: LinuxConfig['resources'];
  readonly oomScoreAdj?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Others than usual: of a kind that is here already, in its place. */
  readonly namespaces?: readonly Namespace[];
  /** Kinds that are left out. */
  readonly withoutNamespaces?: readonly NamespaceType[];
}

let knownApplets: readonly string[] | undefined;

/** The programs that the machine's busybox is, but for itself. */
function applets(): readonly string[] {
  knownApplets ??= execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' })
    .split('\n')
    .filter((name) => name !== '' && name !== 'busybox');
  return knownApplets;
}

/** Runs `script` in busybox's shell. */
export function shell(script: string): BundleOptions {
  return { args: ['sh', '-c', script] };
}

function namespacesOf({ namespaces = [], withoutNamespaces = [] }: BundleOptions): Namespace[] {
  const without = [...withoutNamespaces, ...namespaces.map(({ type }) => type)];
  const usual = defaultConfig().linux?.namespaces ?? [];
  return [...usual.filter(({ type }) => !without.includes(type)), ...namespaces];
}

/** A folder for bundles and state, removed at the end with all containers in it. */
export class RuntimeBed implements AsyncDisposable {
  readonly runtime: Runtime;
  readonly folder = mkdtempSync(join(PLACE, 'runtime-bed-'));
  readonly root: string;
  /** No other bed has it. */
  readonly name = basename(this.folder);
  #bundles = 0;

  /** @param rootName folder of the state, below the bed's own */
  constructor(runtime: Runtime, rootName = 'root') {
    this.runtime = runtime;
    this.root = join(this.folder, rootName);
  }

  /** Makes a bundle; gives its path. */
  bundle(options: BundleOptions): string {
    const folder = join(this.folder, `bundle${this.#bundles++}`);
    const rootfs = join(folder, 'rootfs');
    for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'run']) {
      mkdirSync(join(rootfs, name), { recursive: true });
    }
    copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
    for (const name of applets()) symlinkSync('busybox', join(rootfs, 'bin', name));
    const config = defaultConfig();
    const edited = {
      ...config,
      ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
      ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
      root: { path: 'rootfs', readonly: options.readonlyRoot === true },
      mounts: [...(config.mounts ?? []), ...(options.mounts ?? [])],
      process: {
        ...config.process,
        terminal: options.terminal === true,
        args: options.args,
        ...(options.oomScoreAdj === undefined ? {} : { oomScoreAdj: options.oomScoreAdj }),
      },
      linux: {
        ...config.linux,
        namespaces: namespacesOf(options),
        cgroupsPath: options.cgroupsPath ?? `/${this.name}/${basename(folder)}`,
        ...(options.resources === undefined ? {} : { resources: options.resources }),
      },
    };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(edited));
    return folder;
  }

  /** The whole command line of a call. */
  commandLine(...args: readonly string[]): string[] {
    return [...this.runtime.command, '--root', this.root, ...args];
  }

  /** What the runtime says where runc says this, for `toMatch`. */
  words(runcs: string | RegExp): string | RegExp {
    return this.runtime.words?.[String(runcs)] ?? runcs;
  }

  /** Starts a call whose end is not waited for yet. */
  spawn(...args: readonly string[]): ChildProcess {
    return this.#spawn(args, {});
  }

  #spawn(args: readonly string[], environment: NodeJS.ProcessEnv): ChildProcess {
    const [program = '', ...rest] = this.commandLine(...args);
    return spawn(program, rest, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Makes a call and waits for its end and the end of its output. */
  async call(args: readonly string[], input = '', environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
    const child = this.#spawn(args, environment);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    return await ended(child);
  }

  /** Makes a call whose container outlives it: the output goes to files, for a pipe would not end. */
  async detached(args: readonly string[]): Promise<Ended> {
    const [program = '', ...rest] = this.commandLine(...args);
    const command = ['-c', `exec "$0" "$@" </dev/null >${this.folder}/out 2>${this.folder}/err`, program, ...rest];
    const [status] = await once(spawn('/bin/sh', command, { env: {}, stdio: 'ignore' }), 'close');
    return { status, stdout: this.output('out'), stderr: this.output('err') };
  }

  /** What the last detached call and its container have written. */
  output(name: 'out' | 'err'): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  async state(id: string): Promise<State> {
    const { status, stdout, stderr } = await this.call(['state', id]);
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as State;
  }

  /** Waits until the container has this status. */
  async until(id: string, status: string): Promise<State> {
    for (;;) {
      const state = await this.state(id);
      if (state.status === status) return state;
      await pause();
    }
  }

  /** What is left of this bed's containers anywhere, a line each. */
  leftovers(): string[] {
    return [
      ...(existsSync(this.root) ? readdirSync(this.root).map((name) => `file ${name}`) : []),
      ...processesBelow(this.folder),
      ...mountsBelow(this.folder),
      ...this.#cgroups().map((path) => `cgroup ${path}`),
    ];
  }

  /** Control groups that are a container's: those that only lead there are made for all, and stay. */
  #cgroups(): string[] {
    return cgroupTree().filter(
      (path) => path.includes(this.name) && !/\.slice$/.test(path) && !path.endsWith(this.name),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of existsSync(this.root) ? readdirSync(this.root) : []) await this.call(['delete', '--force', id]);
    for (const path of cgroupTree().filter((path) => path.includes(this.name))) rmdirSync(path);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function ended(child: ChildProcess): Promise<Ended> {
  const { stdout: out, stderr: err } = child;
  const output = Promise.all([out, err].map((stream) => (stream === null ? '' : text(stream))));
  const [status, signal] = await once(child, 'exit');
  const [stdout = '', stderr = ''] = await output;
  return { status: signal === null ? status : null, stdout, stderr };
}

/** Between two looks at something that nothing announces. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause();
}

/** Whether a process runs (one that waits to be reaped does not). */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Processes that work in the folder, have their root in it or name it in their command line. */
function processesBelow(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isRunning(Number(name)))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const belongs =
          command.includes(folder) ||
          readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) ||
          rootOf(pid).includes(`/${basename(folder)}/`);
        return belongs ? [`process ${pid} ${command}`] : [];
      } catch {
        return []; // It has ended since.
      }
    });
}

/** The folder of its file system that is a process's root: proc_pid_mountinfo(5), field 4 of the line of /. */
function rootOf(pid: string): string {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
  return lines.map((line) => line.split(' ')).find((fields) => fields[4] === '/')?.[3] ?? '';
}

/** Mount points of the trees of control groups. */
export function cgroupMounts(): string[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, mountPoint = '', type = ''] = line.split(' ');
    return type === 'cgroup' || type === 'cgroup2' ? [mountPoint] : [];
  });
}

/** All control groups of the machine, the inner ones first. */
function cgroupTree(): string[] {
  const below = (folder: string): string[] => {
    try {
      const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
      return folders.flatMap(({ name }) => [...below(join(folder, name)), join(folder, name)]);
    } catch {
      return []; // It has gone since.
    }
  };
  return cgroupMounts().flatMap(below);
}

function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder))
    .map((line) => `mount ${line}`);
}
