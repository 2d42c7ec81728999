// The user's terminal as a guest's serial console: every key goes to the guest, but for those behind Ctrl-a.

const CTRL_A = 0x01;
const HELP = '\r\n[Ctrl-a x: end the VM, Ctrl-a a: send Ctrl-a, Ctrl-a h: this help]\r\n';

export interface TerminalHandlers {
  /** Bytes for the guest. */
  input(bytes: Uint8Array): void;
  /** The user asked to end the VM. */
  quit(): void;
}

/** What the bytes typed mean, given whether the last key was Ctrl-a. */
export function splitKeys(
  typed: Uint8Array,
  afterEscape: boolean,
): { forGuest: number[]; commands: string[]; afterEscape: boolean } {
  const forGuest: number[] = [];
  const commands: string[] = [];
  let escaped = afterEscape;
  for (const byte of typed) {
    if (escaped) {
      escaped = false;
      if (byte === CTRL_A || byte === 'a'.charCodeAt(0)) forGuest.push(CTRL_A);
      else commands.push(String.fromCharCode(byte));
    } else if (byte === CTRL_A) escaped = true;
    else forGuest.push(byte);
  }
  return { forGuest, commands, afterEscape: escaped };
}

/** Connects standard input: raw on a terminal, as it comes elsewhere. Disposing gives the terminal back as it was. */
export function attachTerminal(handlers: TerminalHandlers): Disposable {
  const stdin = process.stdin;
  const terminal = stdin.isTTY === true;
  let afterEscape = false;
  const onData = (chunk: Buffer): void => {
    if (!terminal) {
      handlers.input(chunk);
      return;
    }
    const keys = splitKeys(chunk, afterEscape);
    afterEscape = keys.afterEscape;
    if (keys.forGuest.length > 0) handlers.input(Uint8Array.from(keys.forGuest));
    for (const command of keys.commands) {
      if (command === 'x') handlers.quit();
      else process.stderr.write(HELP);
    }
  };
  if (terminal) stdin.setRawMode(true);
  stdin.on('data', onData);
  // A closed standard input (cron, CI) is no reason to end the guest.
  stdin.on('error', () => undefined);
  return {
    [Symbol.dispose]() {
      stdin.off('data', onData);
      stdin.pause();
      if (terminal) stdin.setRawMode(false);
    },
  };
}

/** Tells the size of the terminal that standard output is, in characters: at once and whenever it changes, until disposed. */
export function followTerminalSize(resize: (columns: number, rows: number) => void): Disposable {
  const { stdout } = process;
  const tell = (): void => {
    if (stdout.isTTY) resize(stdout.columns, stdout.rows);
  };
  tell();
  stdout.on('resize', tell);
  return { [Symbol.dispose]: () => void stdout.off('resize', tell) };
}
