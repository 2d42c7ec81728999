// `tsvm boot`: one VM, its serial console on the terminal, until the guest or the user ends it.
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { basename } from 'node:path';
import { buildVm } from '../vmm/builder.ts';
import {
  type DiskConfig,
  parseMemoryMib,
  type ShareConfig,
  type VmConfig,
  VmConfigError,
  type VsockConfig,
} from '../vmm/config.ts';
import { type StartReport, type TimelineMark, timelineRows, timelineSvg } from '../vmm/timeline.ts';
import { describeStop, type Vm } from '../vmm/vm.ts';
import { attachTerminal } from './terminal.ts';

/** The flags of `tsvm boot` as commander gives them. */
export interface BootFlags {
  readonly kernel: string;
  readonly initrd?: string;
  readonly initramfs?: string;
  readonly cmdline: string;
  readonly memory: string;
  readonly cpus: number;
  readonly disk?: readonly string[];
  readonly share?: readonly string[];
  readonly vsock?: string;
  readonly serial: boolean;
  readonly entropy: boolean;
  readonly timeout?: number;
  readonly report?: string;
}

/** Exit status when --timeout ended the VM, as of timeout(1). */
const TIMED_OUT = 124;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** 128 + SIGPIPE: nobody reads the console any more (`tsvm boot ... | head`). */
const BROKEN_PIPE = 141;

function parseDisk(text: string): DiskConfig {
  const [path = '', ...options] = text.split(',');
  let readOnly = false;
  let id = basename(path).slice(0, 20);
  for (const option of options) {
    if (option === 'ro') readOnly = true;
    else if (option.startsWith('id=')) id = option.slice('id='.length);
    else throw new VmConfigError('disk option', JSON.stringify(option), 'ro or id=ID');
  }
  if (path === '') throw new VmConfigError('disk', JSON.stringify(text), 'PATH[,ro][,id=ID]');
  return { path, readOnly, id };
}

function splitPair(key: string, text: string, form: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new VmConfigError(key, JSON.stringify(text), form);
  return [text.slice(0, at), text.slice(at + 1)];
}

function parseShare(text: string): ShareConfig {
  const [tag, directory] = splitPair('share', text, 'TAG=DIRECTORY');
  return { tag, directory };
}

function parseVsock(text: string): VsockConfig {
  const [cid, path] = splitPair('vsock', text, 'CID=PATH');
  return { guestCid: Number(cid), path };
}

function toConfig(flags: BootFlags): VmConfig {
  const initrdPath = flags.initrd ?? flags.initramfs;
  return {
    kernelPath: flags.kernel,
    ...(initrdPath === undefined ? {} : { initrdPath }),
    commandLine: flags.cmdline,
    memoryMib: parseMemoryMib(flags.memory),
    cpus: flags.cpus,
    serial: flags.serial,
    disks: (flags.disk ?? []).map(parseDisk),
    shares: (flags.share ?? []).map(parseShare),
    ...(flags.vsock === undefined ? {} : { vsock: parseVsock(flags.vsock) }),
    entropy: flags.entropy,
  };
}

function writeReport(path: string, vm: Vm, commandStart: TimelineMark): void {
  const marks = [commandStart, ...vm.timeline.marks];
  const report: StartReport = {
    hostKernelRelease: release(),
    marks: marks.map(({ name, monotonicNs }) => ({ name, monotonicNs: String(monotonicNs) })),
    exits: Object.fromEntries(vm.exitCounts),
  };
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${path.replace(/\.json$/, '')}.svg`, timelineSvg('tsvm boot', timelineRows(marks)));
}

/** Boots a VM and stays until it ends. @returns the exit status; @throws when the VM cannot be made */
export async function boot(flags: BootFlags): Promise<number> {
  const commandStart: TimelineMark = { name: 'command-start', monotonicNs: process.hrtime.bigint() };
  await using vm = await buildVm(toConfig(flags), {
    serialOutput: (bytes) => process.stdout.write(bytes),
    log: (line) => process.stderr.write(`tsvm: ${line}\n`),
  });
  let status: number | undefined;
  const end = (value: number): void => {
    status ??= value;
    vm.kill();
  };
  const timer = flags.timeout === undefined ? undefined : setTimeout(() => end(TIMED_OUT), flags.timeout * 1000);
  process.stdout.on('error', () => end(BROKEN_PIPE));
  for (const [signal, number] of Object.entries(SIGNAL_NUMBERS)) process.once(signal, () => end(128 + number));
  using _terminal = flags.serial
    ? attachTerminal({ input: (bytes) => vm.serialInput(bytes), quit: () => end(0) })
    : undefined;
  vm.start();
  const reason = await vm.stopped;
  clearTimeout(timer);
  if (flags.report !== undefined) writeReport(flags.report, vm, commandStart);
  if (status === TIMED_OUT) process.stderr.write(`tsvm: ended after ${flags.timeout} s (--timeout)\n`);
  if (status !== undefined) return status;
  if (reason.kind === 'guest-reset') return 0;
  process.stderr.write(`tsvm: ${describeStop(reason)}\n`);
  return 1;
}
