// What can be wrong with KVM.
import { TskataError } from '../../lib/errors.ts';

export type KvmErrorCode =
  | 'NO_KVM'
  | 'NO_PERMISSION'
  | 'API_VERSION'
  | 'CAPABILITY_MISSING'
  | 'CALL_FAILED'
  | 'VCPU_BUSY'
  | 'LIMIT_EXCEEDED'
  /** A saved state is damaged, incomplete, or of another version. */
  | 'STATE_INVALID'
  /** A saved state is whole, but this host's processor or KVM cannot take it. */
  | 'STATE_UNSUPPORTED'
  | 'DISPOSED';

/** The hypervisor refused. `details` names the ioctl, the errno and what it was about. */
export class KvmError extends TskataError<KvmErrorCode> {}
