// `tsvm boot`: one VM, its serial console on the terminal, until the guest or the user ends it.
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { buildVm } from '../vmm/builder.ts';
import type { VmConfig } from '../vmm/config.ts';
import { describedVm, mergeDescriptions, readDescriptionFile, type VmDescription } from '../vmm/description.ts';
import { describeStop, stopDetails } from '../vmm/stop-reason.ts';
import { type StartReport, type TimelineMark, timelineRows, timelineSvg } from '../vmm/timeline.ts';
import type { Vm } from '../vmm/vm.ts';
import { attachTerminal, followTerminalSize } from './terminal.ts';

/** The flags of `tsvm boot` as commander gives them. */
export interface BootFlags extends VmDescription {
  readonly config?: string;
  readonly initramfs?: string;
  readonly timeout?: number;
  readonly report?: string;
}

/** Exit status when --timeout ended the VM, as of timeout(1). */
const TIMED_OUT = 124;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** 128 + SIGPIPE: nobody reads the console any more (`tsvm boot ... | head`). */
const BROKEN_PIPE = 141;

/** What the flags say over what the configuration file says. @throws VmConfigError */
function toConfig({ config, initramfs, timeout: _timeout, report: _report, ...flags }: BootFlags): VmConfig {
  const description = initramfs === undefined ? flags : { initrd: initramfs, ...flags };
  return describedVm(config === undefined ? description : mergeDescriptions(readDescriptionFile(config), description));
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

/** Writes to standard output. @returns a promise when whoever reads it is slower than the guest */
function writeOut(bytes: Uint8Array): Promise<void> | undefined {
  if (process.stdout.write(bytes)) return undefined;
  return new Promise((resolve) => process.stdout.once('drain', () => resolve()));
}

/** Boots a VM and stays until it ends. @returns the exit status; @throws when the VM cannot be made */
export async function boot(flags: BootFlags): Promise<number> {
  const commandStart: TimelineMark = { name: 'command-start', monotonicNs: process.hrtime.bigint() };
  const config = toConfig(flags);
  await using vm = await buildVm(config, {
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
  using terminal = new DisposableStack();
  // Where there is hvc0, the serial port is for what the kernel says before that is up.
  const attached = vm.summary.consoles.map((name) => terminal.use(vm.attachConsole(name, writeOut)));
  const console = attached.at(-1);
  if (console !== undefined) {
    terminal.use(attachTerminal({ input: (bytes) => void console.write(bytes), quit: () => end(0) }));
  }
  if (config.console !== undefined)
    terminal.use(followTerminalSize((columns, rows) => vm.resizeConsole(columns, rows)));
  vm.start();
  const reason = await vm.stopped;
  clearTimeout(timer);
  if (flags.report !== undefined) writeReport(flags.report, vm, commandStart);
  if (status === TIMED_OUT) process.stderr.write(`tsvm: ended after ${flags.timeout} s (--timeout)\n`);
  if (status !== undefined) return status;
  if (reason.kind === 'guest-reset' || reason.kind === 'guest-power-off') return 0;
  const details = stopDetails(reason);
  process.stderr.write(`tsvm: ${describeStop(reason)}\n${details === undefined ? '' : `${details}\n`}`);
  return 1;
}
