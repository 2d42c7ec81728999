// What verbs print. Not by way of process.stdout, whose streams take longer to load than most verbs to do their work.
import { writeSync } from 'node:fs';

const STDOUT = 1;
const STDERR = 2;
/** How long to wait for a reader that is slow, where somebody has set the pipe not to wait. */
const RETRY_MS = 5;

/** Prints to standard output, and settles when it is there. @throws Error when it cannot be written, to a full disk for instance */
export async function print(text: string): Promise<void> {
  let bytes: Uint8Array = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(STDOUT, bytes));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') {
        throw new Error(`cannot write to standard output: ${(cause as Error).message}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Prints to standard error, if that can be done: there is nowhere else to say that it cannot. */
export function printError(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // See above.
  }
}
