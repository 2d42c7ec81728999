// A user's home, from the container's /etc/passwd: a file that may be anything, and is read no further than is reasonable.
import { decodeUtf8 } from 'tskata-sys';
import { appended } from '../bytes.ts';
import * as abi from '../linux/abi.gen.ts';
import { open, statusOfFd, tryRead, typeOf, withFd } from '../linux/file.ts';

const PASSWD = '/etc/passwd';
/** Room for the users of a big site. */
const PASSWD_BYTES_MAX = 1024 * 1024;
const CHUNK_BYTES = 8192;
const LINE_FEED = 10;
/** passwd(5): name, password, uid, gid, comment, home, shell. */
const [UID_FIELD, HOME_FIELD] = [2, 5];

/** Home of a user; `/` where the file says nothing of it. */
export function homeOf(uid: number): string {
  try {
    // Neither a pipe nor a device in the file's place keeps us waiting.
    return withFd(open(PASSWD, abi.O_RDONLY | abi.O_NONBLOCK | abi.O_NOCTTY), (fd) => {
      if (typeOf(statusOfFd(fd, PASSWD)) !== abi.S_IFREG) return '/';
      for (const line of linesOf(fd)) {
        const fields = line.split(':');
        if (fields[UID_FIELD] !== String(uid)) continue;
        const home = fields[HOME_FIELD] ?? '';
        return home === '' || home.includes('\0') ? '/' : home;
      }
      return '/';
    });
  } catch {
    return '/';
  }
}

function* linesOf(fd: number): Generator<string> {
  let rest: Uint8Array = new Uint8Array(0);
  for (let total = 0; total < PASSWD_BYTES_MAX; ) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const length = tryRead(fd, chunk);
    if (length <= 0) break;
    total += length;
    const bytes = appended(rest, chunk.subarray(0, length));
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    yield* decodeUtf8(bytes.subarray(0, end)).split('\n');
    rest = bytes.slice(end);
  }
  yield decodeUtf8(rest);
}
