// What can be wrong with KVM.
import { TskataError } from '../../lib/errors.ts';

export type KvmErrorCode =
  | 'NO_KVM'
  | 'NO_PERMISSION'
  | 'API_VERSION'
  | 'CAPABILITY_MISSING'
  | 'CALL_FAILED'
  | 'VCPU_BUSY'
  | 'DISPOSED';

/** The hypervisor refused. `details` names the ioctl, the errno and what it was about. */
export class KvmError extends TskataError<KvmErrorCode> {}
