// The user's terminal as a guest's console: every key goes to the guest, but for those behind Ctrl-a.

const CTRL_A = 0x01;

export interface TerminalHandlers {
  /** Bytes for the guest. @returns a promise while it has no room: what is not typed by hand waits for it */
  input(bytes: Uint8Array): Promise<void> | undefined;
  /** Ctrl-a x. */
  quit(): void;
  /** What Ctrl-a x does, for the help: "end the VM". */
  readonly quitMeans: string;
  /** Standard input has ended. */
  ended?(): void;
  /** The size of the terminal: at the beginning, and when it changes. */
  resize?(columns: number, rows: number): void;
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

/**
 * Connects standard input: raw on a terminal, so that Ctrl-c is the guest's too, and as it comes elsewhere. A stop (SIGTSTP)
 * gives the terminal back for as long as it lasts. Disposing gives it back, and so does every end of the process but SIGKILL.
 */
export function attachTerminal(handlers: TerminalHandlers): Disposable {
  using resources = new DisposableStack();
  if (process.stdin.isTTY === true) attachKeys(handlers, resources);
  else attachPipe(handlers, resources);
  followSize(handlers, resources);
  return resources.move();
}

/** Listens until the stack is disposed. */
function listen(
  emitter: NodeJS.EventEmitter,
  event: string,
  listener: (...args: never[]) => void,
  resources: DisposableStack,
): void {
  emitter.on(event, listener as () => void);
  resources.defer(() => void emitter.off(event, listener as () => void));
}

function attachKeys(handlers: TerminalHandlers, resources: DisposableStack): void {
  const { stdin } = process;
  const help = `\r\n[Ctrl-a x: ${handlers.quitMeans}, Ctrl-a a: send Ctrl-a, Ctrl-a h: this help]\r\n`;
  const setRaw = (raw: boolean): void => {
    // A terminal that is gone, by SIGHUP for instance, has no mode any more.
    if (!stdin.destroyed) stdin.setRawMode(raw);
  };
  let afterEscape = false;
  let isFull = false;
  const onData = (chunk: Buffer): void => {
    const keys = splitKeys(chunk, afterEscape);
    afterEscape = keys.afterEscape;
    // Keys that a guest does not read are dropped, as a terminal does: those behind Ctrl-a have to get through.
    if (keys.forGuest.length > 0 && !isFull) {
      const room = handlers.input(Uint8Array.from(keys.forGuest));
      isFull = room !== undefined;
      void room?.then(() => {
        isFull = false;
      });
    }
    for (const command of keys.commands) {
      if (command === 'x') handlers.quit();
      else process.stderr.write(help);
    }
  };
  setRaw(true);
  resources.defer(() => {
    stdin.pause();
    setRaw(false);
  });
  listen(process, 'exit', () => setRaw(false), resources);
  listen(
    process,
    'SIGTSTP',
    () => {
      setRaw(false);
      process.kill(process.pid, 'SIGSTOP');
    },
    resources,
  );
  listen(process, 'SIGCONT', () => setRaw(true), resources);
  listen(stdin, 'end', () => handlers.ended?.(), resources);
  listen(stdin, 'error', () => undefined, resources);
  listen(stdin, 'data', onData, resources);
}

function attachPipe(handlers: TerminalHandlers, resources: DisposableStack): void {
  const { stdin } = process;
  let isAttached = true;
  resources.defer(() => {
    isAttached = false;
    stdin.pause();
  });
  listen(stdin, 'end', () => handlers.ended?.(), resources);
  // A closed standard input (cron, CI) is no reason to end the guest.
  listen(stdin, 'error', () => undefined, resources);
  const onData = (chunk: Buffer): void => {
    const room = handlers.input(chunk);
    if (room === undefined) return;
    stdin.pause();
    void room.then(() => {
      if (isAttached) stdin.resume();
    });
  };
  listen(stdin, 'data', onData, resources);
}

function followSize({ resize }: TerminalHandlers, resources: DisposableStack): void {
  const { stdout } = process;
  if (resize === undefined || stdout.isTTY !== true) return;
  const tell = (): void => {
    // A terminal that does not know its size says 0.
    if (stdout.columns > 0 && stdout.rows > 0) resize(stdout.columns, stdout.rows);
  };
  listen(stdout, 'resize', tell, resources);
  tell();
}

/** There while whoever reads standard output is slower than the guest. */
let drained: Promise<void> | undefined;

/** Writes to standard output. @returns a promise when whoever reads it is slower than the guest */
export function writeOut(bytes: Uint8Array): Promise<void> | undefined {
  if (process.stdout.write(bytes)) return undefined;
  // One for all processors and consoles that wait.
  drained ??= new Promise((resolve) => {
    process.stdout.once('drain', () => {
      drained = undefined;
      resolve();
    });
  });
  return drained;
}
