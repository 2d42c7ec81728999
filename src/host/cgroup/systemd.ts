// Asks systemd for control groups, over D-Bus (org.freedesktop.systemd1(5)): where it manages the host, they are its to make.
import { spawnSync } from 'node:child_process';
import { lstatSync, readFileSync } from 'node:fs';
import { CgroupError } from './cgroup-error.ts';
import type { ControlWrite } from './limits.ts';
import type { RunningSystemd, SystemdUnit } from './plan.ts';
import { sleepSync } from './sleep.ts';
import { limitProperties, type Property } from './systemd-properties.ts';

/** Of Debian's package systemd. */
const BUSCTL = '/usr/bin/busctl';
const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
/** What systemd gets for one answer, and a unit to get ready; as long as runc waits. */
const ANSWER_MS = 30_000;
const POLL_MS = 2;
/** How long the last unit of a name may take to be gone: its processes are. */
const NAME_MS = 3000;

/** What the runtime asks of systemd. */
export interface Systemd {
  /** Makes the unit, with the process in it. @throws CgroupError SYSTEMD_FAILED */
  start(unit: SystemdUnit, id: string, pid: number, version: 1 | 2, writes: readonly ControlWrite[]): void;
  /** Tells it of limits that it would reset otherwise, and waits until it has written them. @throws CgroupError SYSTEMD_FAILED */
  limit(unit: SystemdUnit, version: 1 | 2, writes: readonly ControlWrite[]): void;
  /** Ends the unit with all in it; one that is not there is no error. @throws CgroupError SYSTEMD_FAILED */
  stop(unit: SystemdUnit): void;
}

/** sd_booted(3). @returns undefined where systemd does not manage this host. @throws CgroupError SYSTEMD_FAILED */
export function runningSystemd(isUser: boolean): RunningSystemd | undefined {
  if (lstatSync('/run/systemd/system', { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  if (!isUser) return { isUser, cgroup: '/' };
  // Such as: s "/user.slice/user-1000.slice/user@1000.service"
  const answer = busctl(isUser, ['get-property', ...MANAGER, 'ControlGroup']);
  return { isUser, cgroup: JSON.parse(answer.replace(/^s /, '')) as string };
}

export const SYSTEMD: Systemd = {
  start(unit, id, pid, version, writes) {
    const properties = [...unitProperties(unit, id, pid), ...limitProperties(version, writes)];
    const encoded = encodeProperties(properties);
    const args = ['ssa(sv)a(sa(sv))', unit.name, 'replace', ...encoded, '0'];
    const deadlineMs = performance.now() + NAME_MS;
    while (!isStarted(unit, args, performance.now() > deadlineMs)) {
      // One that has failed keeps its name until somebody asks, and one that ends for a moment.
      reset(unit);
      sleepSync(POLL_MS);
    }
    waitUntilIn(pid, unit.name);
  },

  limit(unit, version, writes) {
    const encoded = encodeProperties(limitProperties(version, writes));
    call(unit, 'SetUnitProperties', ['sba(sv)', unit.name, 'true', ...encoded]);
    // It answers before it writes the files of the unit, and writes them before it answers anything else.
    busctl(unit.isUser, ['get-property', ...MANAGER, 'Version']);
  },

  stop(unit) {
    try {
      call(unit, 'StopUnit', ['ss', unit.name, 'replace']);
    } catch (error) {
      if (!isAnswer(error, /not loaded|NoSuchUnit/)) throw error;
    }
    reset(unit);
  },
};

/** systemd.scope(5), systemd.resource-control(5) */
function unitProperties({ name, slice }: SystemdUnit, id: string, pid: number): Property[] {
  const isSlice = name.endsWith('.slice');
  const accounting = ['CPU', 'Memory', 'IO', 'Tasks'].map((what): Property => [`${what}Accounting`, 'b', 'true']);
  return [
    ['Description', 's', `tskata sandbox of container ${id}`],
    // A slice is below another by its name, and has no processes of its own from the start.
    ...(isSlice
      ? ([['Wants', 'as', '1', slice]] as const)
      : ([
          ['Slice', 's', slice],
          ['PIDs', 'au', '1', String(pid)],
          ['Delegate', 'b', 'true'],
          ['CollectMode', 's', 'inactive-or-failed'],
        ] as const)),
    ...accounting,
    // systemd's default is made for services; a VMM and its back ends have many threads.
    ['TasksMax', 't', String(2n ** 64n - 1n)],
    ['DefaultDependencies', 'b', 'false'],
  ];
}

function encodeProperties(properties: readonly Property[]): string[] {
  return [String(properties.length), ...properties.flat()];
}

function call({ isUser }: SystemdUnit, method: string, args: readonly string[]): void {
  // Behind "--", a negative number is no option.
  busctl(isUser, ['call', ...MANAGER, method, '--', ...args]);
}

/** @returns false when there is a unit of this name, unless that is final */
function isStarted(unit: SystemdUnit, args: readonly string[], isFinal: boolean): boolean {
  try {
    call(unit, 'StartTransientUnit', args);
    return true;
  } catch (error) {
    if (isFinal || !isAnswer(error, /already (loaded|exists)|UnitExists/)) throw error;
    return false;
  }
}

function reset(unit: SystemdUnit): void {
  try {
    call(unit, 'ResetFailedUnit', ['s', unit.name]);
  } catch {
    // It has not failed, or is gone: either is well.
  }
}

function busctl(isUser: boolean, args: readonly string[]): string {
  const command = [isUser ? '--user' : '--system', `--timeout=${ANSWER_MS / 1000}`, ...args];
  const { status, stdout, stderr, error } = spawnSync(BUSCTL, command, { encoding: 'utf8', timeout: ANSWER_MS });
  if (status === 0) return stdout;
  const reason = error?.message ?? stderr.trim();
  const hint = /failed to connect/i.test(reason) ? ': is D-Bus running?' : '';
  const message = `systemd does not do what --systemd-cgroup needs (${BUSCTL} ${args.slice(0, 5).join(' ')}): ${reason}${hint}`;
  throw new CgroupError('SYSTEMD_FAILED', message, { reason });
}

function isAnswer(error: unknown, pattern: RegExp): boolean {
  return error instanceof CgroupError && pattern.test(String(error.details['reason']));
}

/** The answer to StartTransientUnit says that a job was queued; its effect is what matters. */
function waitUntilIn(pid: number, unit: string): void {
  const deadlineMs = performance.now() + ANSWER_MS;
  const isIn = (): boolean =>
    readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .split('\n')
      .some((line) => line.endsWith(`/${unit}`));
  while (!isIn()) {
    if (performance.now() > deadlineMs) {
      const message = `systemd has not moved process ${pid} into ${unit} within ${ANSWER_MS / 1000} s: see systemctl status ${unit}`;
      throw new CgroupError('SYSTEMD_FAILED', message, { pid, unit });
    }
    sleepSync(POLL_MS);
  }
}
