// Runs the suite's containers by a command that takes runc's verbs.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ended } from '../oci/harness.ts';
import type { ContainerConfig } from './config.ts';
import type { Ended, Engine, Running, World } from './engine.ts';
import { makePlace, type Place } from './place.ts';

export interface OciEngineOptions {
  readonly name: World;
  /** The program, by absolute path, and the arguments that come before any of ours. */
  readonly command: readonly string[];
  /** Folder below which places are made; a tmpfs is quickest. */
  readonly parent: string;
  /** Where the cgroup v2 tree is. */
  readonly cgroups?: string;
  /** Ends with the engine. */
  readonly owned?: Disposable;
}

export class OciEngine implements Engine {
  readonly name: string;
  readonly worlds: readonly World[];
  readonly controllers: readonly string[];
  readonly tries = 2;
  readonly #command: readonly string[];
  readonly #folder: string;
  readonly #owned: Disposable | undefined;
  #containers = 0;

  constructor({ name, command, parent, cgroups = '/sys/fs/cgroup', owned }: OciEngineOptions) {
    this.name = name;
    this.worlds = [name];
    this.controllers = readFileSync(join(cgroups, 'cgroup.controllers'), 'utf8').trim().split(' ');
    this.#folder = mkdtempSync(join(parent, 'conformance-'));
    // Users of user namespaces pass through.
    chmodSync(this.#folder, 0o711);
    this.#owned = owned;
    this.#command = [...command, '--root', join(this.#folder, 'state')];
  }

  place(): Place {
    return makePlace(this.#folder, this.#folder);
  }

  async run(place: Place, config: ContainerConfig, input = ''): Promise<Ended> {
    return await statusOf(this.#run(place, config, this.#newId(), input));
  }

  async start(place: Place, config: ContainerConfig): Promise<Running> {
    const id = this.#newId();
    const child = this.#run(place, config, id, '');
    const end = statusOf(child);
    // The probe begins its report at once.
    await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error((await end).stderr);
    const state = await this.#call('state', id);
    return {
      pid: (JSON.parse(state.stdout) as { pid: number }).pid,
      exec: (process) => {
        const path = join(place.folder, `process-${crypto.randomUUID()}.json`);
        writeFileSync(path, JSON.stringify(process));
        return this.#call('exec', '--process', path, id);
      },
      kill: async (signal) => void (await this.#call('kill', id, String(signal))),
      ended: end,
      remove: async () => {
        await this.#call('delete', '--force', id);
        await end;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#owned?.[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #newId(): string {
    this.#containers += 1;
    return `conformance-${process.pid}-${this.#containers}`;
  }

  #run(place: Place, config: ContainerConfig, id: string, input: string): ChildProcess {
    writeFileSync(join(place.folder, 'config.json'), JSON.stringify(config));
    const args = ['run', '--bundle', place.folder, id];
    // Who asks for a terminal must have one himself: script(1) makes it.
    const onTerminal = [
      'script',
      '--quiet',
      '--return',
      '--flush',
      '--command',
      quoted([...this.#command, ...args]),
      '/dev/null',
    ];
    const terminal = config.process['terminal'] === true;
    const child = terminal ? start(onTerminal) : this.#spawn(...args);
    child.stdin?.on('error', () => {});
    // script(1) would type an end of file.
    if (!terminal) child.stdin?.end(input);
    return child;
  }

  #call(...args: readonly string[]): Promise<Ended> {
    const child = this.#spawn(...args);
    child.stdin?.end();
    return statusOf(child);
  }

  #spawn(...args: readonly string[]): ChildProcess {
    return start([...this.#command, ...args]);
  }
}

function start([program = '', ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, stdio: 'pipe' });
}

/** A command line for a shell. */
function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

async function statusOf(child: ChildProcess): Promise<Ended> {
  const { status, stdout, stderr } = await ended(child);
  return { status: status ?? 255, stdout, stderr };
}
