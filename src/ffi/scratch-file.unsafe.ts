// Files without a name.
import { MFD_CLOEXEC } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction } from './koffi.unsafe.ts';

const memfdCreate = libcFunction<[string, number], number>('int memfd_create(const char *name, uint flags)');

/**
 * An empty file in memory, which grows as it is written and is gone with its last descriptor.
 * @param name seen in /proc/PID/fd
 * @throws SystemError
 */
export function createScratchFile(name: string): OwnedFd {
  return new OwnedFd(check(memfdCreate(name, MFD_CLOEXEC), 'memfd_create', name));
}
