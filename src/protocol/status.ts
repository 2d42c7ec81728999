// The outcome of a call, in the codes that ttrpc shares with gRPC.
import { TskataError } from '../lib/errors.ts';

/** Status codes (google.rpc.Code, gRPC "Status codes and their use"). */
export const StatusCode = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof StatusCode;

const nameOfCode = new Map<number, StatusName>(
  Object.entries(StatusCode).map(([name, code]) => [code, name as StatusName]),
);

/** The name of a status code; codes that nobody defined are `UNKNOWN`. */
export function statusName(code: number): StatusName {
  return nameOfCode.get(code) ?? 'UNKNOWN';
}

/** A call that did not end well. Handlers throw it; callers get it with the same code and message. */
export class StatusError extends TskataError<StatusName> {
  /** The number that travels. */
  get status(): number {
    return StatusCode[this.code];
  }
}
