// Why a management API cannot be reached.
import { TskataError } from '../lib/errors.ts';

export type ApiErrorCode =
  /** There is no socket. */
  | 'NO_SOCKET'
  /** What is there is no socket. */
  | 'NOT_A_SOCKET'
  /** There is a socket, and nobody behind it. */
  | 'NOBODY_LISTENS'
  /** This user may not connect. */
  | 'NO_PERMISSION'
  /** The connection broke, or what answers speaks something else. */
  | 'CONNECTION';

/** The API cannot be reached. The message names the socket and says what to do. */
export class ApiError extends TskataError<ApiErrorCode> {}
