// `tsvm ctl`: what is asked of a VM that another process runs, over its API's socket.
import { resolve } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { VmClient } from '../api/client.ts';
import { type Event, ShutdownMethod, State, type Stopped } from '../api/vmm.gen.ts';
import type { ShutdownMethod as ShutdownMethodName } from '../vmm/operations.ts';
import { counterText } from '../vmm/report-svg.ts';
import { EXIT_STATUS } from './ending.ts';
import type { ResizeFlags } from './tsvm-ctl-commands.ts';

/** What answers at once answers within this, milliseconds. */
export const PROMPT_MS = 10_000;
/** A driver may take its time to tell its statistics, milliseconds. */
const STATISTICS_MS = 5_000;

const STATE_NAMES = new Map<number, string>(
  Object.entries(State).map(([name, number]) => [number, name.toLowerCase()]),
);

const METHODS: Readonly<Record<ShutdownMethodName, ShutdownMethod>> = {
  acpi: ShutdownMethod.ACPI,
  'ctrl-alt-del': ShutdownMethod.CTRL_ALT_DEL,
  agent: ShutdownMethod.AGENT,
  kill: ShutdownMethod.KILL,
};

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Rows of two columns. */
function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join('\n');
}

/** Connects for as long as the work lasts. */
export async function withVm<Result>(path: string, work: (vm: VmClient) => Promise<Result>): Promise<Result> {
  using vm = await VmClient.connect(path);
  return await work(vm);
}

/** What a VM started with, and how much more it can have. */
function upTo(size = 0, maximum = size, unit: string): string {
  return `${size}${unit}${maximum > size ? `, up to ${maximum}${unit}` : ''}`;
}

export function state(path: string, { json = false }: { readonly json?: boolean }): Promise<void> {
  return withVm(path, async (vm) => {
    const answer = await vm.call((calls) => calls.getState, {}, PROMPT_MS);
    const { machine } = answer;
    const name = STATE_NAMES.get(answer.state) ?? 'unknown';
    if (json) {
      printJson({ ...answer, state: name });
      return;
    }
    const optional = (label: string, value: string | number | undefined): [string, string][] =>
      value === undefined || value === '' ? [] : [[label, String(value)]];
    print(
      table([
        ['state', name],
        ['uptime', `${(answer.uptimeMs / 1000).toFixed(1)} s`],
        ['cpus', upTo(machine?.cpus, machine?.maxCpus, '')],
        ['memory', upTo(machine?.memoryMib, machine?.maxMemoryMib, ' MiB')],
        ...optional('kernel', machine?.kernelPath),
        ...optional('initrd', machine?.initrdPath),
        ...optional('command line', machine?.commandLine),
        ...optional('guest cid', machine?.guestCid),
        ...optional('consoles', machine?.consoles.join(', ')),
        ...(machine?.devices ?? []).map(({ name: device, type }): [string, string] => [`device ${type}`, device]),
        ['process', `${answer.pid}, tsvm ${answer.vmmVersion}`],
      ]),
    );
  });
}

export function pause(path: string): Promise<void> {
  return withVm(path, async (vm) => void (await vm.call((calls) => calls.pause, {}, PROMPT_MS)));
}

export function resume(path: string): Promise<void> {
  return withVm(path, async (vm) => void (await vm.call((calls) => calls.resume, {}, PROMPT_MS)));
}

function printStopped(stopped: Stopped | undefined): void {
  print(`the VM has ended: ${stopped?.message}`);
}

/** @returns the exit status: that of timeout(1) when the guest had to be killed */
export function shutdown(
  path: string,
  { method, timeout }: { readonly method: ShutdownMethodName; readonly timeout: number },
): Promise<number> {
  return withVm(path, async (vm) => {
    const request = { method: METHODS[method], timeoutMs: Math.round(timeout * 1000) };
    const { stopped, timedOut } = await vm.call((calls) => calls.shutdown, request);
    if (timedOut) print(`the guest did not end within ${timeout} s, and was killed`);
    printStopped(stopped);
    return timedOut ? EXIT_STATUS.timedOut : 0;
  });
}

export function kill(path: string): Promise<void> {
  return withVm(path, async (vm) => printStopped((await vm.call((calls) => calls.kill, {}, PROMPT_MS)).stopped));
}

export function snapshot(
  path: string,
  directory: string,
  { pause = false }: { readonly pause?: boolean },
): Promise<void> {
  return withVm(path, async (vm) => {
    const request = { directory: resolve(directory), resume: !pause };
    await vm.call((calls) => calls.snapshot, request);
  });
}

export function metrics(path: string, { json = false }: { readonly json?: boolean }): Promise<void> {
  return withVm(path, async (vm) => {
    const answer = await vm.call((calls) => calls.getMetrics, {}, PROMPT_MS);
    if (json) {
      printJson(answer);
      return;
    }
    const rows = (counters: { readonly [name: string]: number }): [string, string][] =>
      Object.entries(counters).map(([name, value]) => [`  ${name}`, counterText(name, value)]);
    print(
      table([
        ['uptime', `${(answer.uptimeMs / 1000).toFixed(1)} s`],
        ['exits', ''],
        ...rows(answer.exits),
        ['memory', ''],
        ...rows({
          resident_bytes: answer.memory?.residentBytes ?? 0,
          peak_resident_bytes: answer.memory?.peakResidentBytes ?? 0,
          anonymous_bytes: answer.memory?.anonymousBytes ?? 0,
          file_bytes: answer.memory?.fileBytes ?? 0,
          shared_bytes: answer.memory?.sharedBytes ?? 0,
        }),
        ...answer.devices.flatMap(({ name, type, counters }): [string, string][] => [
          [name === type ? name : `${type} ${name}`, ''],
          ...rows(counters),
        ]),
      ]),
    );
  });
}

/** An event as words: its name, and what is known of it. */
function eventText({ event }: Event): string {
  if (event === undefined) return 'unknown';
  switch (event.$case) {
    case 'watching':
      return `watching, ${STATE_NAMES.get(event.value.state)}`;
    case 'stopped':
      return `stopped: ${event.value.message}`;
    case 'deviceFailed':
      return `device-failed ${event.value.device}: ${event.value.message}`;
    case 'snapshotTaken':
      return `snapshot-taken ${event.value.directory}`;
    case 'started':
    case 'paused':
    case 'resumed':
      return event.$case;
  }
}

/** Prints events until the VM ends. */
export function events(path: string, { json = false }: { readonly json?: boolean }): Promise<void> {
  return withVm(path, async (vm) => {
    const stream = vm.calls.watchEvents({});
    try {
      for await (const event of stream as AsyncIterable<Event>) {
        const { realtimeMs } = event;
        if (json) print(JSON.stringify({ realtimeMs, event: event.event?.$case, ...event.event?.value }));
        else print(`${new Date(realtimeMs).toISOString()} ${eventText(event)}`);
      }
    } catch (error) {
      throw vm.failure(error as ServiceError);
    }
  });
}

/** @param targetMib what the balloon is to hold; undefined: tells what it holds */
export function balloon(
  path: string,
  targetMib: number | undefined,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  return withVm(path, async (vm) => {
    if (targetMib !== undefined) {
      await vm.call((calls) => calls.setBalloon, { targetMib }, PROMPT_MS);
      return;
    }
    const answer = await vm.call((calls) => calls.getBalloonStats, {}, STATISTICS_MS);
    if (json) {
      printJson(answer);
      return;
    }
    print(
      table([
        ['target', `${answer.targetMib} MiB`],
        ['actual', `${answer.actualMib} MiB`],
        ...Object.entries(answer.statistics).map(([name, value]): [string, string] => [name, counterText(name, value)]),
      ]),
    );
  });
}

export function resize(path: string, { memory: memoryMib, cpus, json = false }: ResizeFlags): Promise<void> {
  return withVm(path, async (vm) => {
    const answer = await vm.call((calls) => calls.resize, { memoryMib, cpus });
    if (json) {
      printJson(answer);
      return;
    }
    const processors: [string, string][] = answer.cpus === undefined ? [] : [['cpus', String(answer.cpus)]];
    print(table([['memory', `${answer.memoryMib} MiB`], ...processors]));
  });
}

export function link(path: string, device: string, up: boolean): Promise<void> {
  return withVm(path, async (vm) => void (await vm.call((calls) => calls.setLink, { device, up }, PROMPT_MS)));
}
