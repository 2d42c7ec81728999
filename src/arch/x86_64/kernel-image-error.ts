// Why a kernel image cannot be booted.
import { type ErrorDetails, TskataError } from '../../lib/errors.ts';

export type KernelImageErrorCode =
  /** Neither an ELF file nor a bzImage. */
  | 'UNKNOWN_FORMAT'
  /** The file ends before what its header promises. */
  | 'TRUNCATED'
  /** For another processor, or for 32 bits. */
  | 'WRONG_ARCHITECTURE'
  /** A field has a value that its specification forbids. */
  | 'BAD_HEADER'
  /** A bzImage of a boot protocol that has no 64-bit entry. */
  | 'OLD_PROTOCOL'
  /** The image has no entry for the boot protocol asked for. */
  | 'NO_ENTRY'
  /** Two parts of the image claim the same memory. */
  | 'OVERLAP'
  /** Part of the image belongs where the machine has no RAM, or has its own structures. */
  | 'BAD_ADDRESS'
  /** Kernel and initial RAM disk do not fit into the machine's RAM. */
  | 'NO_ROOM';

/** A kernel image was refused. The message says what was found and what is needed; nothing was written to the guest. */
export class KernelImageError extends TskataError<KernelImageErrorCode> {
  constructor(code: KernelImageErrorCode, message: string, details: ErrorDetails = {}) {
    super(code, `kernel image: ${message}`, details);
  }
}

/** An address for messages. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
