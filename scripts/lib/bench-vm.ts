// The VMs of the benchmarks, on the host: the same guest under `tsvm` and under QEMU's machine for the same job.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BENCH_HOST } from '../../test/bench/programs.ts';
import { buildDirectory } from './paths.ts';

export const TSVM = join(buildDirectory, 'bin/tsvm');
const QEMU = '/usr/bin/qemu-system-x86_64';
const KERNEL = join(buildDirectory, 'guest/vmlinux');
/** The product's own initramfs: its agent connects to the host's port 1024 as soon as it runs. */
export const AGENT_INITRAMFS = join(buildDirectory, 'guest/initramfs.cpio');

/** What a sandbox's kernel is told. A triple fault ends both VMMs. */
const COMMAND_LINE =
  'reboot=t panic=-1 quiet tsc=reliable no_timer_check swiotlb=noforce rcupdate.rcu_expedited=1 8250.nr_uarts=0';

/** A guest, the same for all competitors. */
export interface Guest {
  readonly initrd: string;
  readonly memoryMib: number;
  readonly cpus?: number;
  /** More of the kernel's command line. */
  readonly parameters?: string;
}

/** Where one VM keeps its sockets, and what tells it from its neighbours. */
export interface Place {
  readonly folder: string;
  readonly guestCid: number;
}

/** A VMM in one of its configurations. */
export interface Competitor {
  readonly name: string;
  /** Program and arguments. */
  command(guest: Guest, place: Place): string[];
  /** What host.c listens on for the guest. */
  listen(place: Place): string;
  /** Starts the programs that this VMM does not start itself. */
  readonly helpers?: ((place: Place) => Promise<AsyncDisposable>) | undefined;
}

/** What a VMM gets besides kernel and memory. */
export interface Equipment {
  /** More arguments. */
  readonly devices?: (place: Place, guest: Guest) => string[];
  readonly helpers?: (place: Place) => Promise<AsyncDisposable>;
  /** Who moves the bytes of `tsvm`'s vsock. @default tsvm */
  readonly vsock?: 'tsvm' | 'kernel';
}

function commandLine({ parameters }: Guest): string {
  return parameters === undefined ? COMMAND_LINE : `${COMMAND_LINE} ${parameters}`;
}

/** `tsvm boot` without a serial port. */
export function tsvm(name: string, { devices, helpers, vsock = 'tsvm' }: Equipment = {}): Competitor {
  const socket = ({ folder, guestCid }: Place): string => join(folder, `tsvm-${guestCid}.sock`);
  return {
    name,
    command: (guest, place) => [
      ...[TSVM, 'boot', '--kernel', KERNEL, '--initrd', guest.initrd, '--cmdline', commandLine(guest)],
      ...['--memory', `${guest.memoryMib}M`, '--cpus', String(guest.cpus ?? 1), '--no-serial'],
      ...['--vsock', vsock === 'kernel' ? `${place.guestCid},vhost=on` : `${place.guestCid}=${socket(place)}`],
      ...(devices?.(place, guest) ?? []),
    ],
    helpers,
    listen: (place) => (vsock === 'kernel' ? 'vsock' : `unix:${socket(place)}_`),
  };
}

/** Arguments of QEMU's machine whose RAM other processes can map, as vhost-user back ends must. */
export const SHARED_RAM = ({ memoryMib }: Guest): string[] => [
  ...['-object', `memory-backend-memfd,id=ram,size=${memoryMib}M,share=on`, '-machine', 'memory-backend=ram'],
];

/**
 * QEMU's microvm as its documentation recommends it for a Linux guest with kvm-clock: no legacy devices, no option ROMs, no
 * firmware tables (`acpi=off` starts qboot instead of SeaBIOS), virtio 1 over MMIO, and the devices that `tsvm boot` has.
 */
export function microvm(name: string, { devices, helpers }: Equipment = {}): Competitor {
  return {
    name,
    command: (guest, place) => [
      ...[QEMU, '-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'none', '-monitor', 'none'],
      ...['-machine', 'microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off', '-no-reboot'],
      ...['-accel', 'kvm', '-cpu', 'host', '-smp', String(guest.cpus ?? 1), '-m', `${guest.memoryMib}M`],
      ...['-global', 'virtio-mmio.force-legacy=false'],
      ...['-kernel', KERNEL, '-initrd', guest.initrd, '-append', commandLine(guest)],
      ...['-device', 'virtio-rng-device', '-device', `vhost-vsock-device,guest-cid=${place.guestCid}`],
      ...(devices?.(place, guest) ?? []),
    ],
    helpers,
    listen: () => 'vsock',
  };
}

/** The program that `tsvm` starts on a descriptor, started for QEMU: it listens at a path. */
export async function startHelper(command: readonly string[], socket: string): Promise<AsyncDisposable> {
  const [program = '', ...args] = command;
  rmSync(socket, { force: true });
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  while (!existsSync(socket) && child.exitCode === null) await sleep(20);
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A figure that the guest took: so many bytes or operations in so long. */
export interface GuestResult {
  readonly count: number;
  readonly ns: number;
}

const TIMEOUT_MS = 180_000;

/** A started VMM with its guest. Disposing of it ends both. */
export class RunningVm implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #closed: Promise<unknown>;
  #partial = '';
  #errors = '';

  /** @param listen what the guest, or others, are waited for on; absent: as the competitor says */
  constructor(
    competitor: Competitor,
    guest: Guest,
    place: Place,
    listen: readonly string[] = [competitor.listen(place)],
  ) {
    const args = [...listen, '--', ...competitor.command(guest, place)];
    this.#child = spawn(BENCH_HOST, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close');
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (this.#partial + chunk.toString()).split('\n');
      this.#partial = lines.pop() ?? '';
      this.#lines.push(...lines);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4096);
    });
  }

  /** What follows `word` on the line that begins with it; waits for the line, and for the `nth` of its kind (from 1). */
  async line(word: string, nth = 1): Promise<string[]> {
    for (const deadline = performance.now() + TIMEOUT_MS; ; ) {
      const found = this.#lines.filter((text) => text === word || text.startsWith(`${word} `))[nth - 1];
      if (found !== undefined) return found.split(' ').slice(1);
      const failure = this.#lines.find((text) => text.startsWith('failed '));
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (failure !== undefined || ended || performance.now() > deadline) {
        throw new Error(
          `no ${word} from ${this.#child.spawnargs.join(' ')}\n${this.#lines.join('\n')}\n${this.#errors}`,
        );
      }
      const wait = AbortSignal.timeout(1000);
      await Promise.race([once(this.#child.stdout ?? this.#child, 'data', { signal: wait }), this.#closed]).catch(
        () => {},
      );
    }
  }

  /** The VMM's process. */
  async pid(): Promise<number> {
    return Number((await this.line('started'))[0]);
  }

  /** When the VMM was started, CLOCK_MONOTONIC. */
  async startedNs(): Promise<bigint> {
    return BigInt((await this.line('started'))[1] ?? 0);
  }

  /** From just before the VMM's start until the guest's first program has reached the host. */
  async connectedMs(): Promise<number> {
    return Number((await this.line('connected'))[0]) / 1e6;
  }

  /** The guest's figures, once it has taken them all. */
  async results(): Promise<Map<string, GuestResult>> {
    await this.line('done');
    const rows = this.#lines
      .map((text) => text.split(' '))
      .filter((words) => words.length === 3 && words[0] !== 'started');
    return new Map(rows.map(([name = '', count, ns]) => [name, { count: Number(count), ns: Number(ns) }]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
  }
}

/** Runs a guest that measures, with the programs that its VMM needs, to its last figure. */
export async function measureInGuest(
  competitor: Competitor,
  guest: Guest,
  place: Place,
  listen: readonly string[] = [],
): Promise<Map<string, GuestResult>> {
  await using _helpers = await competitor.helpers?.(place);
  await using vm = new RunningVm(competitor, guest, place, [competitor.listen(place), ...listen]);
  return await vm.results();
}

/** MiB a second. */
export function rate(result: GuestResult | undefined): number {
  return result === undefined ? Number.NaN : result.count / 2 ** 20 / (result.ns / 1e9);
}

/** Operations a second. */
export function frequency(result: GuestResult | undefined): number {
  return result === undefined ? Number.NaN : result.count / (result.ns / 1e9);
}
