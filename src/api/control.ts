// What the management API needs of a VM. `Vm` has it; tests have a fake.
import type { VmMetrics } from '../vmm/metrics.ts';
import type {
  BalloonStats,
  ConsoleAttachment,
  ConsoleName,
  ConsoleReader,
  ShutdownMethod,
  VmEventListener,
  VmResize,
  VmSize,
  VmSummary,
} from '../vmm/operations.ts';
import type { StopReason } from '../vmm/stop-reason.ts';
import type { VmState } from '../vmm/vm.ts';

export interface SnapshotOptions {
  /** Whether the VM runs again once the snapshot is written; one that was paused before stays so. */
  readonly resume: boolean;
}

export interface VmControl {
  readonly state: VmState;
  readonly summary: VmSummary;
  /** Settles once, with the reason for which the VM ended. */
  readonly stopped: Promise<StopReason>;

  /** @throws VmStateError (rejects) */
  pause(): Promise<void>;
  /** @throws VmStateError */
  resume(): void;
  /**
   * Asks the guest to end, and does not wait for it; `kill` ends the VM at once.
   * @throws VmStateError when the VM is not running, VmOperationError NO_SUCH_PART when it has no such button or agent,
   * GUEST_NOT_READY when nobody in the guest hears it (rejects)
   */
  shutdown(method: ShutdownMethod): Promise<void>;
  /** Ends the VM at once. Of a VM that has ended it asks nothing. */
  kill(): void;
  /**
   * Writes a snapshot of a running or paused VM to a folder that is not there yet.
   * @throws VmStateError; the errors of the snapshot (rejects), the VM is then as it was before
   */
  snapshot(directory: string, options: SnapshotOptions): Promise<void>;

  metrics(): VmMetrics;
  /** Calls the listener with what happens from now on, until the result is disposed. */
  watch(listener: VmEventListener): Disposable;

  /** What the balloon is to hold, MiB. @throws VmOperationError NO_SUCH_PART, INVALID_VALUE */
  setBalloonTarget(mib: number): void;
  /** Asks the driver for new statistics where it has them. @throws VmOperationError NO_SUCH_PART (rejects) */
  balloonStats(): Promise<BalloonStats>;
  /**
   * Gives the guest more memory or processors, or takes some of what it got since its start. @returns what it has then
   * @throws VmStateError, VmOperationError NO_SUCH_PART, INVALID_VALUE, GUEST_NOT_READY (rejects)
   */
  resize(wanted: VmResize): Promise<VmSize>;
  /** Plugs a network device's cable in or out. @throws VmOperationError NO_SUCH_PART, UNKNOWN_DEVICE */
  setLink(device: string, up: boolean): void;

  /** Tells the driver of hvc0 the size of its terminal, in characters. @throws VmOperationError NO_SUCH_PART */
  resizeConsole(columns: number, rows: number): void;
  /**
   * Connects a reader to a console, beside those that are there: each gets all output from now on. Who may write is for the
   * caller to say.
   * @throws VmOperationError NO_SUCH_PART
   */
  attachConsole(console: ConsoleName, reader: ConsoleReader): ConsoleAttachment;
}
