// Why there is no management API.
import { TskataError } from '../lib/errors.ts';

export type ApiErrorCode =
  /** Longer than struct sockaddr_un takes. */
  | 'PATH_TOO_LONG'
  /** Another process listens there. */
  | 'IN_USE'
  /** Something that is no socket is there. */
  | 'NOT_A_SOCKET'
  /** The socket cannot be made. */
  | 'LISTEN'
  /** There is no socket. */
  | 'NO_SOCKET'
  /** There is a socket, and nobody behind it. */
  | 'NOBODY_LISTENS'
  /** This user may not connect. */
  | 'NO_PERMISSION'
  /** The connection broke, or what answers speaks something else. */
  | 'CONNECTION';

/** The API cannot be served or reached. The message names the socket and says what to do. */
export class ApiError extends TskataError<ApiErrorCode> {}

/** sun_path of struct sockaddr_un holds 108 bytes, one of them the final zero (unix(7)). */
const MAXIMUM_SOCKET_PATH = 107;

/** @throws ApiError PATH_TOO_LONG */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) <= MAXIMUM_SOCKET_PATH) return;
  throw new ApiError(
    'PATH_TOO_LONG',
    `the API socket's path ${path} is too long: use one of at most ${MAXIMUM_SOCKET_PATH} bytes`,
    { path },
  );
}
