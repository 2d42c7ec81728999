// What goes wrong with control groups on the host.
import { TskataError } from '../../lib/errors.ts';

export type CgroupErrorCode =
  | 'NOT_MOUNTED'
  | 'INVALID_PATH'
  | 'NOT_EMPTY'
  | 'FROZEN'
  | 'CANNOT_MAKE'
  | 'CANNOT_LIMIT'
  | 'CANNOT_ENTER'
  | 'CANNOT_REMOVE'
  | 'SYSTEMD_FAILED';

export class CgroupError extends TskataError<CgroupErrorCode> {}

/** The errno of a file operation by its name; undefined for other errors. */
export function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Whether a file operation failed for want of rights, by the mode of files or by a read-only mount. */
export function isForbidden(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '');
}
