// What a process can say about itself and others that node:process cannot. Sending a signal is process.kill.
import { constants } from 'node:os';
import { PR_SET_NAME, PR_SET_PDEATHSIG } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction, type Pointer } from './koffi.unsafe.ts';

const prctlNumber = libcFunction<[number, number], number>('int prctl(int option, ulong argument)');
const prctlPointer = libcFunction<[number, Pointer], number>('int prctl(int option, void *argument)');
const pidfdOpenCall = libcFunction<[number, number], number>('int pidfd_open(int pid, uint flags)');
const pidfdSendSignalCall = libcFunction<[number, number, null, number], number>(
  'int pidfd_send_signal(int pidfd, int signal, void *info, uint flags)',
);

/**
 * Asks the kernel to send this process a signal when its parent ends. The parent may have ended before the call: compare
 * process.ppid afterwards.
 * @throws SystemError
 */
export function setParentDeathSignal(signal: NodeJS.Signals): void {
  check(prctlNumber(PR_SET_PDEATHSIG, constants.signals[signal]), 'prctl(PR_SET_PDEATHSIG)');
}

/** Names the calling thread in /proc/PID/comm; the kernel keeps 15 bytes. @throws SystemError */
export function setThreadName(name: string): void {
  check(prctlPointer(PR_SET_NAME, Buffer.from(`${name.slice(0, 15)}\0`)), 'prctl(PR_SET_NAME)', name);
}

/**
 * A descriptor that stands for a process, whatever becomes of its pid: readable when the process has ended.
 * @throws SystemError, ESRCH when there is no such process
 */
export function openPidfd(pid: number): OwnedFd {
  return new OwnedFd(check(pidfdOpenCall(pid, 0), 'pidfd_open', `process ${pid}`));
}

/** Sends a signal to the process that a pidfd stands for. @throws SystemError, ESRCH when it has ended */
export function signalPidfd(pidfd: OwnedFd, signal: NodeJS.Signals | 0): void {
  const number = signal === 0 ? 0 : constants.signals[signal];
  check(pidfdSendSignalCall(pidfd.fd, number, null, 0), 'pidfd_send_signal', `pidfd ${pidfd.fd}`);
}
