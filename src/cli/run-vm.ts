// What `tsvm boot` and `tsvm restore` share: a VM with the user's terminal, its API, its time limit and its report.
import { setImmediate } from 'node:timers/promises';
import { serveApi } from '../api/serve.ts';
import { TIMER_MAX_MS } from '../lib/units.ts';
import { describeStop, type StopReason, stopDetails } from '../vmm/stop-reason.ts';
import type { Vm } from '../vmm/vm.ts';
import { Ending, EXIT_STATUS } from './ending.ts';
import { attachTerminal, writeOut } from './terminal.ts';

/** Flags of every verb that runs a VM. */
export interface RunFlags {
  readonly apiSocket?: string;
  readonly paused?: boolean;
  /** Seconds. */
  readonly timeout?: number;
  readonly report?: string;
}

export interface RunOptions extends RunFlags {
  /** Heading of the report's picture: "tsvm boot". */
  readonly title: string;
}

type MakeVm = (connections: { readonly log: (line: string) => void }) => Promise<Vm>;

function log(line: string): void {
  process.stderr.write(`tsvm: ${line}\n`);
}

/**
 * Makes a VM and stays until it ends.
 * @returns the exit status; @throws when the VM cannot be made (rejects), with nothing left behind
 */
export async function runVm(makeVm: MakeVm, options: RunOptions): Promise<number> {
  using ending = new Ending();
  await using vm = await makeVm({ log });
  if (ending.status !== undefined) return ending.status;
  await using _api = options.apiSocket === undefined ? undefined : await serveApi(options.apiSocket, vm);
  using _terminal = connectTerminal(vm, ending);
  using _timer = limitTime(options.timeout, ending);
  void ending.asked.then(() => vm.kill());
  if (options.paused !== true) vm.start();
  const reason = await vm.stopped;
  // What the guest sent last comes out when the event loop comes round.
  await setImmediate();
  const status = ending.status ?? statusOf(reason);
  if (options.report === undefined) return status;
  const { writeReport } = await import('./write-report.ts');
  return writeReport(options.report, vm, reason, options.title) ? status : status || 1;
}

/** Shows what comes on any console. What is typed goes to hvc0 where there is one, else to the serial port. */
function connectTerminal(vm: Vm, ending: Ending): Disposable | undefined {
  const { consoles } = vm.summary;
  const attached = consoles.map((name) => vm.attachConsole(name, writeOut));
  const typed = attached.at(-1);
  if (typed === undefined) return undefined;
  return attachTerminal({
    input: (bytes) => typed.write(bytes),
    quit: () => ending.end(0),
    quitMeans: 'end the VM',
    ...(consoles.includes('hvc0') ? { resize: (columns, rows) => vm.resizeConsole(columns, rows) } : {}),
  });
}

function limitTime(seconds: number | undefined, ending: Ending): Disposable | undefined {
  if (seconds === undefined) return undefined;
  const timer = setTimeout(
    () => {
      log(`ended after ${seconds} s (--timeout)`);
      ending.end(EXIT_STATUS.timedOut);
    },
    Math.min(seconds * 1000, TIMER_MAX_MS),
  );
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** The exit status for a VM that nobody here ended, and a word to the user when there is one to say. */
function statusOf(reason: StopReason): number {
  if (reason.kind === 'guest-reset' || reason.kind === 'guest-power-off') return 0;
  const details = stopDetails(reason);
  process.stderr.write(`tsvm: ${describeStop(reason)}\n${details === undefined ? '' : `${details}\n`}`);
  return reason.kind === 'killed' ? EXIT_STATUS.killed : 1;
}
