// What can be asked of a VM from outside while it is there, as data: summaries, events, consoles, and how a request fails.
import { TskataError } from '../lib/errors.ts';

/**
 * How the guest is asked to end: `acpi` presses the power button, `ctrl-alt-del` types it, `agent` asks the agent in the guest,
 * `kill` does not ask.
 */
export const SHUTDOWN_METHODS = ['acpi', 'ctrl-alt-del', 'agent', 'kill'] as const;
export type ShutdownMethod = (typeof SHUTDOWN_METHODS)[number];

/** The consoles that a VM may have: the 16550A at COM1, and the virtio console. */
export const CONSOLE_NAMES = ['serial', 'hvc0'] as const;
export type ConsoleName = (typeof CONSOLE_NAMES)[number];

/** A virtio device as a person knows it. */
export interface DeviceSummary {
  /** As in logs and metrics: "vsock", "block:root"; no two devices of a VM have the same. */
  readonly name: string;
  /** "block", "net", "vsock", "fs", "console", "rng", "balloon", "mem". */
  readonly type: string;
}

/** What a VM is made of. It does not change while the VM is there. */
export interface VmSummary {
  /** Absent for a VM that was restored from a snapshot. */
  readonly kernelPath?: string;
  readonly initrdPath?: string;
  readonly commandLine: string;
  /** What the guest started with, and what it can have while it runs. */
  readonly memoryMib: number;
  readonly maxMemoryMib: number;
  readonly cpus: number;
  readonly maxCpus: number;
  /** Address of the guest's vsock. */
  readonly guestCid?: number;
  readonly devices: readonly DeviceSummary[];
  readonly consoles: readonly ConsoleName[];
}

/** Something that happened to a VM. */
export type VmEvent =
  | { readonly kind: 'started' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'resumed' }
  /** The VM has ended; nothing follows. `reason` is the `kind` of its StopReason, `message` says it to a person. */
  | { readonly kind: 'stopped'; readonly reason: string; readonly message: string }
  /** A device gave up and asks its driver for a reset. */
  | { readonly kind: 'device-failed'; readonly device: string; readonly message: string }
  | { readonly kind: 'snapshot-taken'; readonly directory: string };

export type VmEventListener = (event: VmEvent) => void;

/** What a VM is to have from now on; what is absent stays as it is. */
export interface VmResize {
  readonly memoryMib?: number | undefined;
  readonly cpus?: number | undefined;
}

/** What a guest has. */
export interface VmSize {
  readonly memoryMib: number;
  /** Processors that are online; absent when the guest was not asked. */
  readonly cpus?: number;
}

export interface BalloonStats {
  /** What the balloon is asked to hold, MiB. */
  readonly targetMib: number;
  /** What it holds, MiB. */
  readonly actualMib: number;
  /**
   * What the driver last told (virtio 1.3, 5.5.6.3 "Memory Statistics Tags"), by name with the unit at its end:
   * `free_memory_bytes`, `major_faults`. Empty until it has told, or when it cannot.
   */
  readonly statistics: Readonly<Record<string, number>>;
}

/** One reader, and perhaps writer, of a console. Disposing it ends the output. */
export interface ConsoleAttachment extends Disposable {
  /**
   * Bytes for the guest.
   * @returns undefined when there is room for more, else a promise that settles, and never rejects, when there is again
   */
  write(bytes: Uint8Array): Promise<void> | undefined;
}

/**
 * Gets bytes from the guest. It bounds what it keeps of them.
 * @returns undefined when there is room for more, else a promise that settles, and never rejects, when there is again: the
 * guest waits for it
 */
export type ConsoleReader = (bytes: Uint8Array) => Promise<void> | undefined;

export type VmOperationErrorCode =
  /** The VM was built without what the request is about. */
  | 'NO_SUCH_PART'
  /** The VM has no device of that name. */
  | 'UNKNOWN_DEVICE'
  /** A value that cannot be, such as a balloon that is larger than the guest's memory. */
  | 'INVALID_VALUE'
  /** The guest did not answer, or its driver is not at work. */
  | 'GUEST_NOT_READY';

/** What was asked of a VM cannot be done with this one, in whatever state it is. */
export class VmOperationError extends TskataError<VmOperationErrorCode> {}
