// What setting up an engine reports.
import { TskataError } from '../lib/errors.ts';

export type InstallErrorCode =
  | 'CANNOT_READ'
  | 'CANNOT_WRITE'
  /** Somebody else has written what stands there. */
  | 'NOT_OURS'
  /** The engine is set to use tskata without being asked. */
  | 'IN_USE'
  | 'NO_PROGRAM'
  | 'OUTSIDE_ROOT'
  | 'WRONG_FLAGS';

export class InstallError extends TskataError<InstallErrorCode> {}
