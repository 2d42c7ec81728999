// Lines for the person who reads the guest's console. Rare: each one costs exits of the VM.
import { encodeUtf8 } from 'tskata-sys';
import { tryWrite } from './linux/file.ts';

export const STDERR = 2;

/** Prints one line. A console that cannot take it loses it: nothing waits for a log. */
export function log(text: string): void {
  tryWrite(STDERR, encodeUtf8(`tskata-agent: ${text.replaceAll('\n', ' | ')}\n`));
}
