// Signals by name, as signal(7) numbers them on x86-64.

const NAMES =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  );
const ALIASES: Readonly<Record<string, string>> = { IOT: 'ABRT', CLD: 'CHLD', POLL: 'IO' };

export const SIGKILL = 9;
export const SIGTERM = 15;
/** The exit status of a process that a signal ended, as shells count. */
export function statusOfSignal(signal: number): number {
  return 128 + signal;
}

/** The C library's own: the kernel's first two real-time signals serve its threads. */
const SIGRTMIN = 34;
export const SIGRTMAX = 64;

/**
 * Reads a signal as runc does: a number, or a name with or without `SIG`, in any case; `SIGRTMIN+n` and `SIGRTMAX-n` too.
 * Numbers are not judged here: the kernel knows which there are.
 * @returns undefined when there is no such name
 */
export function parseSignal(text: string): number | undefined {
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realTime !== null) {
    const base = realTime[1] === 'MIN' ? SIGRTMIN : SIGRTMAX;
    const number = base + Number(realTime[3] ?? 0) * (realTime[2] === '-' ? -1 : 1);
    return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
  }
  const index = NAMES.indexOf(ALIASES[name] ?? name);
  return index < 0 ? undefined : index + 1;
}
