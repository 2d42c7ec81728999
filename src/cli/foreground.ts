// A command that stays for as long as its process: signals go on to it, and its status is the command's.
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { statusOfSignal } from '../oci/signals.ts';
import { type ProcessIdentity, signalIdentity } from '../runtime/process-identity.ts';

/** Signals that go on to the process: all that can be caught, but those that are about the command itself. */
const FORWARDED: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGTERM',
  'SIGCONT',
  'SIGTSTP',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
];

export function forwardSignals(identity: ProcessIdentity): void {
  for (const signal of FORWARDED) process.on(signal, () => signalIdentity(identity, constants.signals[signal]));
}

/** How a child ended, as shells count. */
export function exitStatus(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('exit', (status, signal) => {
      resolve(signal === null ? (status ?? 0) : statusOfSignal(constants.signals[signal]));
    });
  });
}
