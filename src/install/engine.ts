// What an engine has to say about its configuration, for `tskata install`.
import type { Shim } from './shim.ts';

/** By which name engines know tskata. */
export const RUNTIME = 'tskata';

/** A file that is there, or not. */
export interface Found {
  /** For messages, and to look beside it. */
  readonly path: string;
  readonly text: string | undefined;
}

/** What goes into the configuration, and how to look around. */
export interface Setup {
  /** Absolute path of the program, as the engine will call it. */
  readonly program: string;
  /** For engines that take one. */
  readonly shim: Shim;
  /** Memory that a pod takes besides its containers' limits: for the manifest only. */
  readonly hostMemoryOverheadMib: number;
  /** @returns a file of the system that is set up; undefined where there is none */
  readonly read: (path: string) => string | undefined;
  /** Absolute paths of files, sorted; `*` in the last part stands for any name. */
  readonly list: (pattern: string) => readonly string[];
  /** What the engine says of its version; undefined where it cannot be asked. */
  readonly engineVersion: (program: string) => string | undefined;
}

/** What a file is to be. */
export interface Wanted {
  /** undefined: not to be there */
  readonly text: string | undefined;
  /** What the caller should know. */
  readonly warnings?: readonly string[];
}

export interface Engine {
  /** Where its configuration usually is; undefined for what is printed. */
  readonly file: string | undefined;
  /** Whether it can call our containerd shim. */
  readonly takesShim?: true;
  /** @throws InstallError for a file that cannot be added to */
  readonly install: (found: Found, setup: Setup) => Wanted;
  /** @throws InstallError for what cannot be taken out */
  readonly uninstall: (found: Found, setup: Setup) => Wanted;
  /** What to do when it is written. */
  readonly next: { readonly install: string; readonly uninstall: string };
}
