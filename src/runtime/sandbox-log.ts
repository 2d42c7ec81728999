// The log of the sandbox process.
import { type Logger, pino } from 'pino';

/** What is kept, in bytes, of lines that cannot be written now. */
const KEPT_BYTES = 64 * 1024;

/**
 * Opens the log. A file system that is full costs the lines that find no room, and not the virtual machine.
 * @param destination a descriptor or a path
 */
export function openLog(destination: number | string): Logger {
  const stream = pino.destination({ dest: destination, sync: true, maxLength: KEPT_BYTES });
  stream.on('error', () => {});
  return pino({ base: null }, stream);
}
