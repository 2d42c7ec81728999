// Notices that the guest as a whole has run out of memory.
// /proc/vmstat counts such kills together with those of containers at their own limits; the kernel's log tells them apart.
import { decodeUtf8 } from 'tskata-sys';
import { type EventLoop, Pollable } from './event-loop.ts';
import { tellsOfGuestOom } from './kernel-log.ts';
import * as abi from './linux/abi.gen.ts';
import { call } from './linux/call.ts';
import { open, tryRead } from './linux/file.ts';

/** Longest record of /dev/kmsg (CONSOLE_EXT_LOG_MAX of the kernel). */
const RECORD_BYTES_MAX = 8192;

/** Follows the kernel's log from now on. @throws SystemError when it cannot be read */
export function watchGuestMemory(loop: EventLoop, onOutOfMemory: () => void): void {
  const fd = open('/dev/kmsg', abi.O_RDONLY | abi.O_NONBLOCK);
  call('lseek', '/dev/kmsg', abi.SYS_lseek, fd, 0, abi.SEEK_END);
  void follow(new Pollable(loop, fd), onOutOfMemory);
}

async function follow(messages: Pollable, onOutOfMemory: () => void): Promise<void> {
  for (;;) {
    const bytes = new Uint8Array(RECORD_BYTES_MAX);
    const length = tryRead(messages.fd, bytes);
    if (length === -abi.EAGAIN) await messages.readable();
    // EPIPE: records were overwritten before they were read; the next read gives the oldest that is there.
    else if (length > 0 && tellsOfGuestOom(decodeUtf8(bytes.subarray(0, length)))) onOutOfMemory();
    else if (length <= 0 && length !== -abi.EPIPE) return;
  }
}
