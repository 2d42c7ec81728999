// VMs made by the library, in the test's own process: for what cannot be asked of a VM by the flags of `tsvm boot`.
import { expect } from 'vitest';
import type { Vm, VmConnections } from '../../src/index.ts';

/** A VM that runs, with a person at its serial console. It ends with the test that made it. */
export interface RunningVm extends AsyncDisposable {
  readonly vm: Vm;
  /** What the guest has printed so far. */
  readonly output: string;
  /** Settles once the guest has printed this. */
  printed(text: string): Promise<void>;
  /** Types on the serial console. */
  type(text: string): void;
}

/** Makes a VM by `make` (buildVm or restoreVm, of a machine with a serial port), and lets it run. */
export async function runVm(make: (connections: VmConnections) => Promise<Vm>): Promise<RunningVm> {
  const log: string[] = [];
  const vm = await make({ log: (line) => log.push(line) });
  let output = '';
  const console = vm.attachConsole('serial', (bytes) => {
    output += Buffer.from(bytes).toString();
  });
  vm.start();
  return {
    vm,
    get output() {
      return output;
    },
    printed: (text) =>
      expect.poll(() => output, { timeout: 180_000, interval: 100, message: log.join('\n') }).toContain(text),
    type: (text) => void console.write(Buffer.from(text)),
    [Symbol.asyncDispose]: () => vm[Symbol.asyncDispose](),
  };
}
