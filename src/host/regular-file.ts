// Files that are read as a whole, or mapped.
import { constants, fstatSync, openSync } from 'node:fs';
import { OwnedFd } from '../ffi/fd.unsafe.ts';

/**
 * Opens a file to be read, and nothing else: a pipe would hang, a device might never end.
 * @throws TypeError for what is no regular file, Node's errors of open(2)
 */
export function openRegularFile(path: string): OwnedFd {
  using opened = new DisposableStack();
  const file = opened.use(new OwnedFd(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
  if (!fstatSync(file.fd).isFile()) throw new TypeError('it is no regular file');
  opened.move();
  return file;
}
