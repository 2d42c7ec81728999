// Folders and files of control groups, as the kernel shows them. All calls are synchronous: the kernel answers from memory.
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { errnoOf } from './cgroup-error.ts';

/** What is done to a tree of control groups; all throw Node's errors of the system calls. */
export interface ControlFiles {
  read(path: string): string;
  /** Writes a value in one write(2), into a file that must be there. */
  write(path: string, value: string): void;
  /** @returns false when it was there already */
  makeDirectory(path: string): boolean;
  /** The kernel removes the files of a control group with it. */
  removeDirectory(path: string): void;
  /** Names of the control groups in one. */
  children(path: string): string[];
}

export const KERNEL_FILES: ControlFiles = {
  read: (path) => readFileSync(path, 'utf8'),

  write(path, value) {
    // Not writeFileSync: its O_CREAT makes EACCES of a control that is not there.
    const fd = openSync(path, constants.O_WRONLY);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  },

  makeDirectory(path) {
    try {
      mkdirSync(path, { mode: 0o755 });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  },

  removeDirectory: (path) => rmdirSync(path),

  children: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name),
};

/** The text of a file; undefined where the kernel has no such control, or the control group is gone. */
export function tryRead(files: ControlFiles, path: string): string | undefined {
  try {
    return files.read(path);
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
