// Pseudo-terminals.
import * as abi from './abi.gen.ts';
import { call, structure } from './call.ts';
import { deviceNumber, statusOfFd, typeOf } from './file.ts';

/** /dev/ptmx (Documentation/admin-guide/devices.txt: 5 char, 2) */
const PTMX = deviceNumber(5, 2);

/** Whether a descriptor is the master of a pseudo-terminal. */
export function isTerminalMaster(fd: number): boolean {
  const status = statusOfFd(fd, 'terminal');
  return typeOf(status) === abi.S_IFCHR && status.device === PTMX;
}

/** Opens the slave of a master, unlocked, by no path: nothing in the container's /dev can stand in its place. */
export function openSlave(master: number): number {
  call('ioctl', 'TIOCSPTLCK', abi.SYS_ioctl, master, abi.TIOCSPTLCK, new Uint8Array(4));
  const flags = abi.O_RDWR | abi.O_NOCTTY | abi.O_CLOEXEC;
  return call('ioctl', 'TIOCGPTPEER', abi.SYS_ioctl, master, abi.TIOCGPTPEER, flags);
}

export function resizeTerminal(master: number, rows: number, columns: number): void {
  const { bytes, view } = structure(abi.SIZEOF_winsize);
  view.setUint16(abi.OFFSETOF_winsize_ws_row, rows, true);
  view.setUint16(abi.OFFSETOF_winsize_ws_col, columns, true);
  call('ioctl', 'TIOCSWINSZ', abi.SYS_ioctl, master, abi.TIOCSWINSZ, bytes);
}

/**
 * The character that ends the input of a terminal which gathers lines (termios(3), ICANON, VEOF).
 * @returns undefined where the terminal passes on every character as it comes, and none of them means the end
 */
export function endOfFileCharacter(master: number): number | undefined {
  const { bytes, view } = structure(abi.SIZEOF_termios);
  call('ioctl', 'TCGETS', abi.SYS_ioctl, master, abi.TCGETS, bytes);
  const gathersLines = (view.getUint32(abi.OFFSETOF_termios_c_lflag, true) & abi.ICANON) !== 0;
  return gathersLines ? bytes[abi.OFFSETOF_termios_c_cc + abi.VEOF] : undefined;
}

/** Makes a terminal the controlling one of this process, in a session of its own. */
export function takeTerminal(slave: number): void {
  call('ioctl', 'TIOCSCTTY', abi.SYS_ioctl, slave, abi.TIOCSCTTY, 0);
}
