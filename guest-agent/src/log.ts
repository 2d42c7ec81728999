// Lines for the person who reads the guest's console. Rare: each one costs exits of the VM. (The shim's go to containerd's log.)
import { encodeUtf8 } from 'tskata-sys';
import { tryWrite } from './linux/file.ts';

export const STDERR = 2;

/** What the lines begin with. */
let program = 'tskata-agent';

/** Names the program, where it is another one on the agent's engine. */
export function logAs(name: string): void {
  program = name;
}

/** Prints one line. A console that cannot take it loses it: nothing waits for a log. */
export function log(text: string): void {
  tryWrite(STDERR, encodeUtf8(`${program}: ${text.replaceAll('\n', ' | ')}\n`));
}
