// A Docker daemon of a test's own, beside a containerd that it does not look after: as on a machine with systemd.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, pause } from '../oci/harness.ts';
import { Engine, packBox } from './engine.ts';
import { BUILD } from './tsvm-harness.ts';

/** The image of busybox that a daemon has. */
export const IMAGE = 'tskata-box';

/** A container's program that says that it runs, and ends when it is told to. */
export const SLEEP = ['sh', '-c', 'trap "exit 0" TERM; echo up; sleep 100000 & wait'];

const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';
const PID_FILE = '/run/docker.pid';
/** Where the runtimes' states are: of those that Docker calls by their programs, and of ours with its shim. */
const EXEC_ROOT = '/run/docker';
const SHIM_ROOT = '/run/containerd/tskata';

/** What its BuildKit runs containers with. */
const BUILDKIT = { DOCKER_BUILDKIT_RUNC_COMMAND: join(BUILD, 'bin/tskata') };

export class DockerDaemon implements AsyncDisposable {
  readonly docker = new Engine('/usr/bin/docker');
  /** Scratch of the test. */
  readonly folder = mkdtempSync(join(tmpdir(), 'tskata-docker-'));
  readonly #flags: readonly string[];
  readonly #containerd = spawn('/usr/bin/containerd', ['--log-level', 'error'], { stdio: 'ignore' });
  #daemon: ChildProcess | undefined;

  private constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  /** @param flags of dockerd */
  static async start(...flags: readonly string[]): Promise<DockerDaemon> {
    const started = new DockerDaemon(flags);
    while (!existsSync(CONTAINERD_SOCKET)) await pause();
    await started.again();
    await started.docker.printed('import', packBox(started.folder), IMAGE);
    return started;
  }

  /** Starts dockerd, and waits until it answers. */
  async again(): Promise<void> {
    const flags = ['--containerd', CONTAINERD_SOCKET, '--log-level', 'error', ...this.#flags];
    this.#daemon = spawn('/usr/sbin/dockerd', flags, { stdio: 'ignore', env: { ...process.env, ...BUILDKIT } });
    while ((await this.docker.call('info')).status !== 0) await pause();
  }

  /** Ends dockerd; one that has been killed leaves its pid file, which keeps the next from starting where the pid is taken. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    const ended = once(daemon, 'exit');
    daemon.kill(signal);
    await ended;
    rmSync(PID_FILE, { force: true });
  }

  /** Runs a command in a new container, which is removed. @param runtime a runtime of the daemon */
  run(runtime: 'tskata' | 'runc', ...args: readonly string[]): Promise<Ended> {
    return this.docker.call('run', '--rm', `--runtime=${runtime}`, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
    this.#containerd.kill('SIGTERM');
    await once(this.#containerd, 'exit');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Ids of the containers of Docker that a runtime knows. */
export function knownContainers(): string[] {
  const roots = readdirSync(EXEC_ROOT).filter((name) => name.startsWith('runtime-'));
  const folders = [...roots.map((name) => join(EXEC_ROOT, name)), SHIM_ROOT].map((root) => join(root, 'moby'));
  return folders.flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
}

/** What containers may leave on the host: counts of what is there now. */
export function traces(): Record<string, number> {
  const count = (command: string): number => Number(execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' }));
  return {
    containers: knownContainers().length,
    mounts: count('grep -c . /proc/mounts'),
    networkNamespaces: count('lsns --noheadings --type net | wc -l'),
    cgroups: count('find /sys/fs/cgroup -type d -path "*docker[/-]*" | wc -l'),
    processes: count('pgrep -fc "^tskata sandbox|virtiofsd|containerd-shim" || true'),
    interfaces: count('ls /sys/class/net | wc -l'),
  };
}
