// Replaces a file as a whole: a reader sees the old one or the new one, whenever we end.
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { makeFolders } from '../lib/node/make-folders.ts';
import { InstallError } from './install-error.ts';

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
const RIGHTS = ['EACCES', 'EPERM'];

/**
 * Mode and owner stay what they were; a symbolic link stays one.
 * @param text undefined: the file is removed
 * @throws InstallError CANNOT_WRITE
 */
export function replaceFile(path: string, text: string | undefined): void {
  try {
    const target = existsSync(path) ? realpathSync(path) : path;
    if (text === undefined) rmSync(target);
    else writeWhole(target, text);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    const advice = RIGHTS.includes(code) ? ': this takes the rights of root' : '';
    throw new InstallError('CANNOT_WRITE', `cannot write ${path}: ${messageOf(cause)}${advice}`, { path }, { cause });
  }
}

function writeWhole(target: string, text: string): void {
  makeFolders(dirname(target), FOLDER_MODE);
  // Engines read files of a folder by their suffix: this one is none of theirs.
  const scratch = `${target}.${process.pid}~`;
  const fd = openSync(scratch, 'w', FILE_MODE);
  try {
    const old = statSync(target, { throwIfNoEntry: false });
    if (old !== undefined) {
      fchownSync(fd, old.uid, old.gid);
      fchmodSync(fd, old.mode & 0o7777);
    }
    writeFileSync(fd, text);
    fsyncSync(fd);
    renameSync(scratch, target);
  } catch (error) {
    rmSync(scratch, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
