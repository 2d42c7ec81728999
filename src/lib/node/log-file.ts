// Writes log lines of a command: to standard error, or to the file that the caller named.
import { appendFileSync, fstatSync, writeSync } from 'node:fs';
import { type LogLevel, logTime, terminalLine, textLine } from '../log.ts';

export type LogFormat = 'text' | 'json';

export interface LogOptions {
  /** A file to append to; standard error when absent. */
  readonly file?: string | undefined;
  readonly format: LogFormat;
  /** Whether lines of level debug are written. */
  readonly debug: boolean;
}

const STDERR = 2;

/**
 * Writes one line, at once: the process may end next. pino is loaded for the first JSON line only, as most verbs log none.
 * @throws the file system's error when the file cannot be written
 */
export async function writeLog(options: LogOptions, level: LogLevel, message: string): Promise<void> {
  if (level === 'debug' && !options.debug) return;
  if (options.format === 'json') {
    await writeJson(options, level, message);
  } else if (options.file !== undefined) {
    appendFileSync(options.file, textLine(level, message, new Date()));
  } else {
    const line = (await isTerminal(STDERR))
      ? terminalLine(level, message, performance.now())
      : textLine(level, message, new Date());
    // Not by process.stderr: its streams take longer to load than most commands to do their work.
    writeSync(STDERR, line);
  }
}

/** Most lines go to a pipe or a file: what asks a terminal is loaded for a character device only. */
async function isTerminal(fd: number): Promise<boolean> {
  return fstatSync(fd).isCharacterDevice() && (await import('node:tty')).isatty(fd);
}

const PINO_LEVELS = { debug: 'debug', info: 'info', warning: 'warn', error: 'error' } as const;

/** `{"level":"error","msg":"...","time":"..."}`: the keys that callers of runc look for. */
async function writeJson(options: LogOptions, level: LogLevel, message: string): Promise<void> {
  // The default export: a bundle of this CommonJS package has no other.
  const { default: pino } = await import('pino');
  const destination = pino.destination({ dest: options.file ?? STDERR, append: true, sync: true });
  const logger = pino(
    {
      level: 'debug',
      base: null,
      timestamp: () => `,"time":"${logTime(new Date())}"`,
      formatters: { level: () => ({ level }) },
    },
    destination,
  );
  logger[PINO_LEVELS[level]](message);
  destination.flushSync();
}
