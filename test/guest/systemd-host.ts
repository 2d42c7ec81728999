// A systemd of a test's own, and what a host has that it manages: PID 1 of new namespaces, with a tree of control groups of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pause } from '../oci/harness.ts';
import { Engine } from './engine.ts';

const SYSTEMD = '/usr/lib/systemd/systemd';
const CGROUPS = '/sys/fs/cgroup';
const BUS = '/run/dbus/system_bus_socket';

/** Whether there is a systemd to run, and a tree of version 2 for it. */
export const HAS_SYSTEMD = existsSync(SYSTEMD) && existsSync(join(CGROUPS, 'cgroup.controllers'));

const section = (name: string, ...lines: readonly string[]): string => `[${name}]\n${lines.join('\n')}\n`;
const UNIT = section('Unit', 'DefaultDependencies=no');

/** All the units that there are: a host's own would take it a minute. systemd wants the bus under these names. */
const UNITS: Readonly<Record<string, string>> = {
  'ready.target': UNIT + section('Unit', 'Wants=dbus.socket'),
  'sysinit.target': UNIT,
  'shutdown.target': UNIT,
  'dbus.socket': UNIT + section('Socket', `ListenStream=${BUS}`),
  'dbus.service':
    UNIT +
    section('Unit', 'Requires=dbus.socket') +
    section(
      'Service',
      'Type=notify',
      'NotifyAccess=main',
      'ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation',
    ),
};

/** PID 1 until it has its control group ($0) for its own, and nobody else with it in there. */
const ENTER = `mkdir $0 && echo 0 >$0/cgroup.procs && exec unshare --cgroup /bin/sh -ec "$1" "$2"`;

/** PID 1 with that at the top of its tree. $0 has the units. Of the host's /run it has all but what would be systemd's. */
const BECOME = `
umount ${CGROUPS}
mount -t cgroup2 cgroup2 ${CGROUPS}
mkdir -p /run/systemd /run/dbus
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/dbus
touch /etc/machine-id
mount --bind $0/machine-id /etc/machine-id
export container=other SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nowhere
export SYSTEMD_UNIT_PATH=/run/systemd/system.control:/run/systemd/transient:$0
exec ${SYSTEMD} --system --unit=ready.target --log-target=null
`;

/** Calls are commands that run there, by absolute path. */
export class SystemdHost extends Engine implements AsyncDisposable {
  /** What runs a command there, with the command behind it. */
  readonly command: readonly string[];
  readonly #pid: number;
  readonly #starter: ChildProcess;
  readonly #folder: string;

  private constructor(pid: number, starter: ChildProcess, folder: string) {
    // The control group too: with one from outside, there is no way into those inside.
    const command = ['/usr/bin/nsenter', '-t', String(pid), '--mount', '--pid', '--cgroup', '--join-cgroup', '--'];
    super(...command);
    this.command = command;
    this.#pid = pid;
    this.#starter = starter;
    this.#folder = folder;
  }

  static async start(): Promise<SystemdHost> {
    const folder = mkdtempSync(join(tmpdir(), 'tskata-systemd-'));
    for (const [name, text] of Object.entries(UNITS)) writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, 'machine-id'), `${'0123456789abcdef'.repeat(2)}\n`);
    passControllersOn();
    const flags = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const shell = ['/bin/sh', '-ec', ENTER, join(CGROUPS, basename(folder)), BECOME, folder];
    const starter = spawn('/usr/bin/unshare', [...flags, ...shell], {
      env: {},
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    for (;;) {
      const [pid] = childrenOf(Number(starter.pid));
      if (pid !== undefined && existsSync(`/proc/${pid}/root${BUS}`)) {
        const host = new SystemdHost(pid, starter, folder);
        // Its bus knows it a moment later.
        while ((await host.call('/usr/bin/systemctl', 'is-active', 'ready.target')).status !== 0) await pause();
        return host;
      }
      if (starter.exitCode !== null) throw new Error(`systemd has not come up: it ended with ${starter.exitCode}`);
      await pause();
    }
  }

  systemctl(...args: readonly string[]): Promise<string> {
    return this.printed('/usr/bin/systemctl', ...args);
  }

  /** What systemd has for properties of a unit, known to it or not. */
  async show(unit: string, ...names: readonly string[]): Promise<Record<string, string>> {
    const lines = (await this.systemctl('show', ...names.map((name) => `--property=${name}`), unit)).split('\n');
    return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  }

  /** Names of the scopes that it knows, of whatever state. */
  async scopes(): Promise<string[]> {
    const flags = ['--all', '--plain', '--no-legend', '--type=scope'];
    const lines = (await this.systemctl('list-units', ...flags)).split('\n');
    return lines.map((line) => line.split(' ')[0] ?? '').filter((name) => name !== 'init.scope');
  }

  /** Has a scope with a process of nobody's in it. */
  async holdScope(unit: string): Promise<AsyncDisposable> {
    const [program = '', ...args] = [
      ...this.command,
      '/usr/bin/systemd-run',
      '--scope',
      `--unit=${unit}`,
      'sleep',
      '1000',
    ];
    const child = spawn(program, args, { stdio: 'ignore' });
    while ((await this.call('/usr/bin/systemctl', 'is-active', unit)).status !== 0) await pause();
    return {
      [Symbol.asyncDispose]: async () => {
        const ended = once(child, 'exit');
        await this.systemctl('stop', unit);
        await ended;
      },
    };
  }

  /** Runs a daemon as a service, with control groups of its own below it. */
  async serve(unit: string, ...command: readonly string[]): Promise<void> {
    await this.printed(
      '/usr/bin/systemd-run',
      '--collect',
      '--quiet',
      `--unit=${unit}`,
      '--property=Delegate=yes',
      ...command,
    );
  }

  /** The control group of a process, by its pid there. */
  cgroupOf(pid: number): string {
    // Seen from here, it is below systemd's own.
    const own = `/${basename(this.#folder)}`;
    const [, path = ''] = /^0::(.*)$/m.exec(readFileSync(`/proc/${this.#pid}/root/proc/${pid}/cgroup`, 'utf8')) ?? [];
    if (!path.startsWith(own)) throw new Error(`process ${pid} is in ${path}`);
    return path.slice(own.length);
  }

  /** A control file of a control group there. */
  control(cgroup: string, file: string): string {
    return readFileSync(join(CGROUPS, basename(this.#folder), cgroup, file), 'utf8').trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#starter, 'exit');
    process.kill(this.#pid, 'SIGKILL');
    await ended;
    removeFolders(join(CGROUPS, basename(this.#folder)));
    rmSync(this.#folder, { recursive: true });
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

function passControllersOn(): void {
  for (const name of readFileSync(join(CGROUPS, 'cgroup.controllers'), 'utf8').trim().split(' ')) {
    writeFileSync(join(CGROUPS, 'cgroup.subtree_control'), `+${name}`);
  }
}

function removeFolders(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeFolders(join(folder, entry.name));
  }
  rmdirSync(folder);
}
