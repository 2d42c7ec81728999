// Random bytes from the kernel: node:crypto takes longer to load than a VM to be built.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Fills the bytes. */
export function fillRandom<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  const fd = openSync('/dev/urandom', 'r');
  try {
    for (let done = 0; done < bytes.length; ) done += readSync(fd, bytes, done, bytes.length - done, null);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** A UUID of version 4. */
export function randomUuid(): string {
  return readFileSync('/proc/sys/kernel/random/uuid', 'latin1').trim();
}

/** Random bytes, two hexadecimal digits each. */
export function randomHex(length: number): string {
  return Buffer.from(fillRandom(new Uint8Array(length)).buffer).toString('hex');
}
