// ioctl(2), with a number or with a structure as its argument.
import type { Fd } from '../lib/brand.ts';
import { BLKGETSIZE64, BLKSSZGET } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { libcFunction, type Pointer } from './koffi.unsafe.ts';

const ioctlNumber = libcFunction<[number, number, number], number>('int ioctl(int fd, ulong request, ulong argument)');
const ioctlPointer = libcFunction<[number, number, Pointer], number>(
  'int ioctl(int fd, ulong request, void *argument)',
);

/**
 * Calls ioctl(2). A structure is read and written in place.
 * @param name the request by its name in the header, for the error
 * @returns what the ioctl returned
 * @throws SystemError
 */
export function ioctl(fd: Fd, request: number, name: string, argument: number | Uint8Array = 0): number {
  const result =
    typeof argument === 'number' ? ioctlNumber(fd, request, argument) : ioctlPointer(fd, request, argument);
  return check(result, name, `fd ${fd}`);
}

/** Size of a block device, bytes. @throws SystemError, ENOTTY when it is no block device */
export function blockDeviceSize(fd: Fd): number {
  const size = new BigUint64Array(1);
  ioctl(fd, BLKGETSIZE64, 'BLKGETSIZE64', new Uint8Array(size.buffer));
  return Number(size[0]);
}

/** Logical block size of a block device, bytes. @throws SystemError, ENOTTY when it is no block device */
export function blockDeviceLogicalBlockSize(fd: Fd): number {
  const size = new Int32Array(1);
  ioctl(fd, BLKSSZGET, 'BLKSSZGET', new Uint8Array(size.buffer));
  return size[0] ?? 0;
}
