// What went wrong with a call, as gRPC says it.
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { messageOf, TskataError } from '../lib/errors.ts';
import { StatusCode, StatusError } from '../protocol/status.ts';
import { VmConfigError } from '../vmm/config-error.ts';
import { VmOperationError, type VmOperationErrorCode } from '../vmm/operations.ts';
import { VmStateError } from '../vmm/vcpu-group.ts';

const OF_OPERATION: Readonly<Record<VmOperationErrorCode, status>> = {
  NO_SUCH_PART: status.UNIMPLEMENTED,
  UNKNOWN_DEVICE: status.NOT_FOUND,
  INVALID_VALUE: status.INVALID_ARGUMENT,
  GUEST_NOT_READY: status.FAILED_PRECONDITION,
};

/** errno names, as Node and this project's own calls report them. */
const OF_ERRNO: Readonly<Record<string, status>> = {
  ENOENT: status.NOT_FOUND,
  ENOTDIR: status.INVALID_ARGUMENT,
  EEXIST: status.ALREADY_EXISTS,
  ENOTEMPTY: status.ALREADY_EXISTS,
  EACCES: status.PERMISSION_DENIED,
  EPERM: status.PERMISSION_DENIED,
  EROFS: status.PERMISSION_DENIED,
  ENOSPC: status.RESOURCE_EXHAUSTED,
  EDQUOT: status.RESOURCE_EXHAUSTED,
  EMFILE: status.RESOURCE_EXHAUSTED,
};

/** Trailing metadata of a failed call: the stable code of the error, for programs. */
export const ERROR_CODE_KEY = 'tskata-error-code';

function statusOf(error: unknown): status {
  if (error instanceof StatusError) return StatusCode[error.code];
  if (error instanceof VmStateError) return status.FAILED_PRECONDITION;
  if (error instanceof VmOperationError) return OF_OPERATION[error.code];
  if (error instanceof VmConfigError) return status.INVALID_ARGUMENT;
  return ofErrno(error) ?? status.INTERNAL;
}

/** The first errno among an error and its causes. */
function ofErrno(error: unknown): status | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error ? String(error.code) : '';
  return Object.hasOwn(OF_ERRNO, code) ? OF_ERRNO[code] : ofErrno(error.cause);
}

/** Whatever a handler threw, for the caller. */
export function callError(error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const metadata = new Metadata();
  if (error instanceof TskataError) metadata.set(ERROR_CODE_KEY, error.code);
  return { code: statusOf(error), details: messageOf(error), metadata };
}

/** The same for a stream, which ends by the event 'error'. */
export function streamError(error: unknown): ServiceError {
  return Object.assign(new Error(messageOf(error)), callError(error));
}
