// statx(2), for what Node's stat does not tell.
import type { Fd } from '../lib/brand.ts';
import { AT_EMPTY_PATH, statx as layout, STATX_DIOALIGN } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { libcFunction, type Pointer } from './koffi.unsafe.ts';

const statx = libcFunction<[number, string, number, number, Pointer], number>(
  'int statx(int directory, const char *path, int flags, uint mask, void *result)',
);

/**
 * What positions and lengths of O_DIRECT have to be multiples of, bytes; 0: the file knows no O_DIRECT.
 * @returns undefined when the kernel (before 6.1) or the file system does not tell
 * @throws SystemError
 */
export function directAlignment(fd: Fd): number | undefined {
  const result = new Uint8Array(layout.sizeof);
  check(statx(fd, '', AT_EMPTY_PATH, STATX_DIOALIGN, result), 'statx', `fd ${fd}`);
  const view = new DataView(result.buffer);
  if ((view.getUint32(layout.stx_mask, true) & STATX_DIOALIGN) === 0) return undefined;
  return view.getUint32(layout.stx_dio_offset_align, true);
}
