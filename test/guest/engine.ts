// A container engine, called as a person calls it.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, ended } from '../oci/harness.ts';
import { BUILD } from './tsvm-harness.ts';

/** The runtime, as the host has it in its PATH. */
export const RUNTIME = '/usr/local/bin/tskata';

/** Patience with engines in an emulated host. */
export const PATIENCE = { timeout: 120_000, interval: 500 };

export class Engine {
  readonly #command: readonly string[];

  /** @param command program and flags in front of all others */
  constructor(...command: readonly string[]) {
    this.#command = command;
  }

  async call(...args: readonly string[]): Promise<Ended> {
    const [program = '', ...flags] = this.#command;
    // Not in the project: podman's conmon leaves a file where it is called, of a container that was out of memory.
    return await ended(spawn(program, [...flags, ...args], { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /** What a call prints that succeeds. */
  async printed(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.call(...args);
    if (status !== 0) throw new Error(`${args.join(' ')}: ${status}: ${stderr}`);
    return stdout.trimEnd();
  }
}

/** Makes an archive of the root file system of busybox. @returns its path */
export function packBox(folder: string): string {
  const box = join(folder, 'box');
  cpSync(join(BUILD, 'guest/rootfs'), box, { recursive: true, verbatimSymlinks: true });
  execFileSync('tar', ['-C', box, '-cf', `${box}.tar`, '.']);
  return `${box}.tar`;
}

/** The script of a web server for one sentence. */
export function serve(sentence: string): string {
  return `while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${sentence}\\n' | nc -l -p 80 > /dev/null; done`;
}

/**
 * Makes an image of the root file system of busybox, as `docker save` writes it: engines without a builder take that.
 * @param command what its containers run. @returns the archive's path
 */
export function packImage(folder: string, name: string, command: readonly string[]): string {
  const image = join(folder, 'image');
  mkdirSync(image);
  const layer = 'layer.tar';
  renameSync(packBox(folder), join(image, layer));
  const digest = createHash('sha256')
    .update(readFileSync(join(image, layer)))
    .digest('hex');
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: command, Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  writeFileSync(join(image, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: [layer] }];
  writeFileSync(join(image, 'manifest.json'), JSON.stringify(manifest));
  execFileSync('tar', ['-C', image, '-cf', `${image}.tar`, 'manifest.json', 'config.json', layer]);
  return `${image}.tar`;
}

/** Pids of the virtual machines that run, as text. */
export function sandboxes(): string[] {
  const commandLine = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return ''; // It has ended since.
    }
  };
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).startsWith('tskata sandbox'));
}
