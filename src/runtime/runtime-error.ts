// What the runtime layer reports. Callers match some of these texts: they are runc's, word for word.
import { TskataError } from '../lib/errors.ts';

export type RuntimeErrorCode =
  | 'INVALID_ID'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'NOT_RUNNING'
  | 'WRONG_STATUS'
  | 'INVALID_BUNDLE'
  | 'INVALID_CHECKPOINT'
  | 'CHECKPOINT_FAILED'
  | 'INVALID_CONFIGURATION'
  | 'INVALID_NAMESPACE'
  | 'INVALID_SIGNAL'
  | 'INVALID_UPDATE'
  | 'UNSUPPORTED'
  | 'STATE_DAMAGED'
  | 'NOT_INSTALLED'
  | 'NO_SANDBOX'
  | 'SANDBOX_FAILED'
  | 'PROXY_FAILED'
  | 'HOOK_FAILED';

export class RuntimeError extends TskataError<RuntimeErrorCode> {}
