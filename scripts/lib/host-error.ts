/** What went wrong with the host, for programs. */
export type HostErrorCode = 'need-root' | 'missing-program' | 'start-failed' | 'died' | 'busy';

/** The host (this machine or the emulated one) could not be used. */
export class HostError extends Error {
  readonly code: HostErrorCode;
  constructor(code: HostErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostError';
    this.code = code;
  }
}
