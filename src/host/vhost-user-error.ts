// What can go wrong with a back end over vhost-user.
import { TskataError } from '../lib/errors.ts';

export type VhostUserErrorCode =
  /** Nobody answers at the socket, or the connection broke. */
  | 'DISCONNECTED'
  /** The back end's answer makes no sense, or says that it failed. */
  | 'PROTOCOL'
  /** The back end cannot do what is asked of it, or the guest's memory or queues cannot be handed over. */
  | 'UNSUPPORTED'
  /** The back end did not come to rest. */
  | 'BUSY';

export class VhostUserError extends TskataError<VhostUserErrorCode> {}
