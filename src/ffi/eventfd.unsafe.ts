// eventfd(2): a counter that wakes whoever waits for it.
import { EFD_CLOEXEC, EFD_NONBLOCK } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { lastErrno, libcFunction } from './koffi.unsafe.ts';
import { errnoName, SystemError } from './system-error.ts';

const eventfd = libcFunction<[number, number], number>('int eventfd(uint initial, int flags)');
const read = libcFunction<[number, Uint8Array, number], number>('int64_t read(int fd, void *buffer, size_t length)');
const write = libcFunction<[number, Uint8Array, number], number>('int64_t write(int fd, void *buffer, size_t length)');

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);
const counter = new BigUint64Array(1);
const counterBytes = new Uint8Array(counter.buffer);

/** An eventfd of this process: non-blocking, close-on-exec. */
export class EventFd extends OwnedFd {
  /** @throws SystemError when there are too many open files */
  constructor() {
    super(check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd'));
  }

  /** Adds 1 to the counter. @throws SystemError */
  signal(): void {
    check(write(this.fd, ONE, 8), 'write', 'an eventfd');
  }

  /** Takes the counter back to 0. @returns what it was, 0 when nobody had signalled @throws SystemError */
  drain(): number {
    if (read(this.fd, counterBytes, 8) === 8) return Number(counter[0]);
    const errno = lastErrno();
    if (errnoName(errno) === 'EAGAIN') return 0;
    throw new SystemError('read', errno, 'an eventfd');
  }
}
