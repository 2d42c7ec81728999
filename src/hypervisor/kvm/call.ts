// ioctls of KVM: a failure says which one, on what.
import { ioctl } from '../../ffi/ioctl.unsafe.ts';
import { SystemError } from '../../ffi/system-error.ts';
import type { Fd } from '../../lib/brand.ts';
import { KvmError } from './error.ts';

/**
 * Calls an ioctl of /dev/kvm, a VM or a vCPU.
 * @param name the request's name in linux/kvm.h
 * @param subject what it is about, in words: "slot 3 at 0x100000"
 * @returns what the ioctl returned
 * @throws KvmError CALL_FAILED
 */
export function kvmCall(
  fd: Fd,
  request: number,
  name: string,
  subject: string,
  argument: number | Uint8Array | DataView = 0,
): number {
  const bytes =
    argument instanceof DataView ? new Uint8Array(argument.buffer, argument.byteOffset, argument.byteLength) : argument;
  try {
    return ioctl(fd, request, name, bytes);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // A signal to this thread (SIGCHLD, a profiler's) can interrupt the making of a VM; nothing was done then.
    if (error.code === 'EINTR') return kvmCall(fd, request, name, subject, argument);
    throw new KvmError(
      'CALL_FAILED',
      `${name} failed with ${error.code} for ${subject}`,
      { ioctl: name, errno: error.errno, subject },
      { cause: error },
    );
  }
}

/** A zeroed C structure of `size` bytes. */
export function structure(size: number): DataView {
  return new DataView(new ArrayBuffer(size));
}
