// The machine as a whole: clocks, memory, processors, randomness, reboot.
import { decodeUtf8 } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import { call, SystemError, structure, tryCall } from './call.ts';

const NANOSECONDS_PER_SECOND = 1_000_000_000n;

/** Nanoseconds of a clock (`CLOCK_BOOTTIME`, ...). */
export function readClock(clock: number): bigint {
  const { bytes, view } = structure(16);
  call('clock_gettime', String(clock), abi.SYS_clock_gettime, clock, bytes);
  return view.getBigInt64(0, true) * NANOSECONDS_PER_SECOND + view.getBigInt64(8, true);
}

/** Processor time of this process since its start, nanoseconds. */
export function processorTime(): { userNs: bigint; systemNs: bigint } {
  const { bytes, view } = structure(abi.SIZEOF_rusage);
  call('getrusage', '', abi.SYS_getrusage, abi.RUSAGE_SELF, bytes);
  const timeval = (offset: number): bigint =>
    view.getBigInt64(offset, true) * NANOSECONDS_PER_SECOND + view.getBigInt64(offset + 8, true) * 1000n;
  return { userNs: timeval(abi.OFFSETOF_rusage_ru_utime), systemNs: timeval(abi.OFFSETOF_rusage_ru_stime) };
}

/** Sets the wall clock, nanoseconds since the Unix epoch. */
export function setWallClock(realtimeNs: bigint): void {
  const { bytes, view } = structure(16);
  view.setBigInt64(0, realtimeNs / NANOSECONDS_PER_SECOND, true);
  view.setBigInt64(8, realtimeNs % NANOSECONDS_PER_SECOND, true);
  call('clock_settime', 'CLOCK_REALTIME', abi.SYS_clock_settime, abi.CLOCK_REALTIME, bytes);
}

/**
 * Mixes bytes into the kernel's random number generator, counts all their bits as entropy, and has it take a new key from them
 * at once: two machines that go on from one snapshot have the same key.
 */
export function addEntropy(randomFd: number, entropy: Uint8Array): void {
  // struct rand_pool_info: entropy_count in bits, buf_size in bytes, buf
  const { bytes, view } = structure(8 + entropy.length);
  view.setInt32(0, 8 * entropy.length, true);
  view.setInt32(4, entropy.length, true);
  bytes.set(entropy, 8);
  call('ioctl', 'RNDADDENTROPY', abi.SYS_ioctl, randomFd, abi.RNDADDENTROPY, bytes);
  // A generator that has no key yet (-ENODATA) takes its first one from them anyway.
  const reseeded = tryCall(abi.SYS_ioctl, randomFd, abi.RNDRESEEDCRNG);
  if (reseeded !== 0 && reseeded !== -abi.ENODATA) throw new SystemError('ioctl', 'RNDRESEEDCRNG', -reseeded);
}

/** Length of each of the six fields of struct new_utsname (include/uapi/linux/utsname.h). */
const UTSNAME_FIELD = 65;

export function kernelRelease(): string {
  const bytes = new Uint8Array(6 * UTSNAME_FIELD);
  call('uname', '', abi.SYS_uname, bytes);
  const release = bytes.subarray(2 * UTSNAME_FIELD, 3 * UTSNAME_FIELD);
  return decodeUtf8(release.subarray(0, release.indexOf(0)));
}

/** Processors that this process may run on. */
export function processorCount(): number {
  const mask = new Uint8Array(1024);
  const length = call('sched_getaffinity', '', abi.SYS_sched_getaffinity, 0, mask.length, mask);
  let count = 0;
  for (const byte of mask.subarray(0, length)) for (let bits = byte; bits !== 0; bits &= bits - 1) count += 1;
  return count;
}

export function syncFilesystems(): void {
  tryCall(abi.SYS_sync);
}

/** Restarts the machine at once. */
export function reboot(): never {
  const command = abi.LINUX_REBOOT_CMD_RESTART;
  call('reboot', '', abi.SYS_reboot, abi.LINUX_REBOOT_MAGIC1, abi.LINUX_REBOOT_MAGIC2, command, null);
  throw new Error('reboot returned');
}
