// `tsvm ctl console`: this terminal as a console of a guest whose VM another process runs.
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { CallError, type VmClient } from '../api/client.ts';
import { ConsoleMode, type ConsoleRequest, type ConsoleResponse } from '../api/vmm.gen.ts';
import { attachTerminal, writeOut } from './terminal.ts';
import { PROMPT_MS, withVm } from './tsvm-ctl.ts';

export interface ConsoleFlags {
  readonly readOnly?: boolean;
  readonly takeOver?: boolean;
}

function consoleMode({ readOnly = false, takeOver = false }: ConsoleFlags): ConsoleMode {
  if (readOnly) return ConsoleMode.READ_ONLY;
  return takeOver ? ConsoleMode.TAKE_OVER : ConsoleMode.READ_WRITE;
}

/** Connects the terminal to a console until the user leaves or the VM ends. @param name of the console; '' lets the VM choose */
export function attach(path: string, name: string, flags: ConsoleFlags): Promise<void> {
  return withVm(path, async (vm) => {
    const stream = vm.calls.attachConsole();
    const ended = new Promise<void>((resolve, reject) => {
      stream.once('end', () => resolve());
      stream.once('error', (error: ServiceError) => reject(vm.failure(error)));
    });
    using resources = new DisposableStack();
    let hasLeft = false;
    const leave = (): void => {
      hasLeft = true;
      stream.cancel();
    };
    // A reader of the output that is gone has left.
    process.stdout.on('error', leave);
    resources.defer(() => void process.stdout.off('error', leave));
    stream.on('data', ({ response }: ConsoleResponse) => {
      switch (response?.$case) {
        case 'attached':
          if (flags.readOnly !== true) resources.use(connectTerminal(vm, stream, response.value.console, leave));
          break;
        case 'output': {
          const busy = writeOut(response.value);
          if (busy !== undefined) {
            stream.pause();
            void busy.then(() => stream.resume());
          }
          break;
        }
        case 'lostBytes':
          process.stderr.write(`\r\ntsvm: ${response.value} bytes of output were lost here\r\n`);
          break;
        case 'inputTaken':
          process.stderr.write('\r\ntsvm: another caller writes to the console now; from here on you only read\r\n');
          break;
        case undefined:
          break;
      }
    });
    stream.write({ request: { $case: 'attach', value: { console: name, mode: consoleMode(flags) } } });
    try {
      await ended;
    } catch (error) {
      if (!(hasLeft && error instanceof CallError && error.code === 'CANCELLED')) throw error;
    }
  });
}

function connectTerminal(
  vm: VmClient,
  stream: ClientDuplexStream<ConsoleRequest, ConsoleResponse>,
  name: string,
  leave: () => void,
): Disposable {
  const resize = (columns: number, rows: number): void => {
    // Only a convenience: a guest that cannot be told goes on with the size that it knows.
    vm.call((calls) => calls.resizeConsole, { columns, rows }, PROMPT_MS).catch(() => undefined);
  };
  return attachTerminal({
    input: (bytes) => {
      if (stream.write({ request: { $case: 'input', value: bytes } })) return undefined;
      return new Promise((resolve) => stream.once('drain', () => resolve()));
    },
    quit: leave,
    quitMeans: 'leave the console',
    ended: () => stream.end(),
    ...(name === 'hvc0' ? { resize } : {}),
  });
}
