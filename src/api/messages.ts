// The VM's own data as messages of the API, and requests as what the VM takes.
import { VERSION } from '../lib/version.ts';
import { StatusError } from '../protocol/status.ts';
import type { VmMetrics } from '../vmm/metrics.ts';
import {
  type BalloonStats,
  CONSOLE_NAMES,
  type ConsoleName,
  type ShutdownMethod,
  type VmEvent,
  type VmSummary,
} from '../vmm/operations.ts';
import { describeStop, type StopReason } from '../vmm/stop-reason.ts';
import type { VmState } from '../vmm/vm.ts';
import type { VmControl } from './control.ts';
import {
  type Event,
  type GetBalloonStatsResponse,
  type GetMetricsResponse,
  type GetStateResponse,
  type MachineSummary,
  State,
  type Stopped,
  ShutdownMethod as WireShutdownMethod,
} from './vmm.gen.ts';

const STATES: Readonly<Record<VmState, State>> = {
  created: State.CREATED,
  running: State.RUNNING,
  pausing: State.PAUSING,
  paused: State.PAUSED,
  ended: State.ENDED,
};

export function stateMessage(state: VmState): State {
  return STATES[state];
}

function summaryMessage(summary: VmSummary): MachineSummary {
  return {
    cpus: summary.cpus,
    memoryMib: summary.memoryMib,
    kernelPath: summary.kernelPath ?? '',
    initrdPath: summary.initrdPath ?? '',
    commandLine: summary.commandLine,
    guestCid: summary.guestCid,
    devices: summary.devices.map(({ name, type }) => ({ name, type })),
    consoles: [...summary.consoles],
    maxCpus: summary.maxCpus,
    maxMemoryMib: summary.maxMemoryMib,
  };
}

export function vmMessage(vm: VmControl): GetStateResponse {
  return {
    state: stateMessage(vm.state),
    uptimeMs: Math.round(vm.metrics().uptimeMs),
    vmmVersion: VERSION,
    pid: process.pid,
    machine: summaryMessage(vm.summary),
  };
}

export function metricsMessage({ uptimeMs, exits, devices, memory }: VmMetrics): GetMetricsResponse {
  return {
    uptimeMs: Math.round(uptimeMs),
    exits: countsMessage(exits),
    devices: devices.map(({ name, type, counters }) => ({ name, type, counters: countsMessage(counters) })),
    memory: { ...memory },
  };
}

/** Numbers, some of which a guest chose, as what a uint64 field of this API holds: whole, not negative, exact. */
function countsMessage(counts: Readonly<Record<string, number>>): Record<string, number> {
  const inBounds = (value: number): number => Math.min(Math.max(Math.trunc(value) || 0, 0), Number.MAX_SAFE_INTEGER);
  return Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, inBounds(value)]));
}

export function balloonMessage({ targetMib, actualMib, statistics }: BalloonStats): GetBalloonStatsResponse {
  return {
    targetMib: Math.trunc(targetMib),
    actualMib: Math.trunc(actualMib),
    statistics: countsMessage(statistics),
  };
}

export function stoppedMessage(reason: StopReason): Stopped {
  return { reason: reason.kind, message: describeStop(reason) };
}

function eventCase(event: VmEvent): NonNullable<Event['event']> {
  switch (event.kind) {
    case 'started':
      return { $case: 'started', value: {} };
    case 'paused':
      return { $case: 'paused', value: {} };
    case 'resumed':
      return { $case: 'resumed', value: {} };
    case 'stopped':
      return { $case: 'stopped', value: { reason: event.reason, message: event.message } };
    case 'device-failed':
      return { $case: 'deviceFailed', value: { device: event.device, message: event.message } };
    case 'snapshot-taken':
      return { $case: 'snapshotTaken', value: { directory: event.directory } };
  }
}

export function eventMessage(event: VmEvent): Event {
  return { realtimeMs: Date.now(), event: eventCase(event) };
}

/** The first message of a stream of events. */
export function watchingMessage(state: VmState): Event {
  return { realtimeMs: Date.now(), event: { $case: 'watching', value: { state: stateMessage(state) } } };
}

/** @throws StatusError INVALID_ARGUMENT for a number that no method has */
export function shutdownMethod(method: WireShutdownMethod): ShutdownMethod {
  switch (method) {
    case WireShutdownMethod.UNSPECIFIED:
    case WireShutdownMethod.ACPI:
      return 'acpi';
    case WireShutdownMethod.CTRL_ALT_DEL:
      return 'ctrl-alt-del';
    case WireShutdownMethod.KILL:
      return 'kill';
    case WireShutdownMethod.AGENT:
      return 'agent';
    default:
      throw new StatusError('INVALID_ARGUMENT', `there is no shutdown method ${String(method)}`);
  }
}

/** @throws StatusError INVALID_ARGUMENT, UNIMPLEMENTED when this VM has no such console, or none at all */
export function consoleName(name: string, { consoles }: VmSummary): ConsoleName {
  const known = CONSOLE_NAMES.find((one) => one === name);
  if (name !== '' && known === undefined) {
    throw new StatusError('INVALID_ARGUMENT', `there is no console "${name}"; known are ${CONSOLE_NAMES.join(', ')}`);
  }
  const chosen = known ?? CONSOLE_NAMES.findLast((one) => consoles.includes(one));
  if (chosen !== undefined && consoles.includes(chosen)) return chosen;
  throw new StatusError(
    'UNIMPLEMENTED',
    `this VM was built without ${known === undefined ? 'a' : 'the'} console ${name}`.trim(),
  );
}

const MAXIMUM_TERMINAL_SIZE = 65_535;

/** @throws StatusError INVALID_ARGUMENT unless it is a number of characters that a terminal may have */
export function checkTerminalSize(what: string, value: number): void {
  if (value >= 1 && value <= MAXIMUM_TERMINAL_SIZE) return;
  throw new StatusError('INVALID_ARGUMENT', `${what} is ${value}; allowed is 1 to ${MAXIMUM_TERMINAL_SIZE}`);
}
