// The vCPUs of a VM as one: they start, rest and go on together.
import type { Vcpu, VmExit } from '../hypervisor/ports.ts';
import { TskataError } from '../lib/errors.ts';
import type { StopLatch } from './stop-reason.ts';

/** Passes on from a device to the VM that the vCPU whose exit is being handled has to wait. */
export class Hold {
  #until: Promise<void> | undefined;

  readonly set = (until: Promise<void>): void => {
    this.#until = until;
  };

  /** @returns what the exit that was just handled asked for, once */
  take(): Promise<void> | undefined {
    const until = this.#until;
    this.#until = undefined;
    return until;
  }
}

export type VmStateErrorCode =
  /** The VM has ended. */
  | 'ENDED'
  /** What was asked for needs a VM that runs, or one that rests. */
  | 'WRONG_STATE';

/** What was asked for cannot be done with the VM as it is now. */
export class VmStateError extends TskataError<VmStateErrorCode> {}

/** What the vCPUs do. */
export type VcpuGroupState = 'created' | 'running' | 'pausing' | 'paused';

export interface VcpuGroupOptions {
  readonly vcpus: readonly Vcpu[];
  readonly latch: StopLatch;
  readonly hold: Hold;
  /** Answers an exit that is none of a rest. */
  readonly handleExit: (vcpu: Vcpu, exit: VmExit) => void;
}

export class VcpuGroup {
  readonly #options: VcpuGroupOptions;
  #state: VcpuGroupState = 'created';
  /** Who has come to rest, and what to do when all have. */
  #rest: { readonly reached: Set<Vcpu>; readonly all: PromiseWithResolvers<void> } | undefined;

  constructor(options: VcpuGroupOptions) {
    this.#options = options;
    const { vcpus, latch } = options;
    void latch.stopped.then(() => {
      for (const vcpu of vcpus) vcpu.kick();
    });
  }

  get state(): VcpuGroupState {
    return this.#state;
  }

  /** Lets all of them run for the first time. @throws VmStateError WRONG_STATE when they have run */
  start(): void {
    if (this.#state !== 'created') throw this.#wrongState('start', 'created');
    this.#state = 'running';
    const { vcpus, latch } = this.#options;
    for (const vcpu of vcpus) {
      vcpu.start({
        onExit: (exit) => this.#answer(vcpu, exit),
        onFailure: (error) => latch.stop({ kind: 'vmm-failure', error }),
      });
    }
  }

  /**
   * Brings all of them to rest between two instructions, where their state can be read.
   * @throws VmStateError (rejects) WRONG_STATE when they do not run, ENDED when the VM ends before they rest
   */
  async pause(): Promise<void> {
    this.requireRunning('pause');
    const { vcpus, latch } = this.#options;
    this.#state = 'pausing';
    const all = Promise.withResolvers<void>();
    this.#rest = { reached: new Set(), all };
    for (const vcpu of vcpus) vcpu.kick();
    await Promise.race([all.promise, latch.stopped]);
    if (latch.hasStopped) throw new VmStateError('ENDED', 'the VM ended while it was being paused');
    this.#state = 'paused';
    for (const vcpu of vcpus) vcpu.notifyClockPaused();
  }

  /** Lets them go on. @throws VmStateError WRONG_STATE when they run */
  resume(): void {
    if (this.#state !== 'paused' || this.#options.latch.hasStopped) throw this.#wrongState('resume', 'paused');
    this.#state = 'running';
    this.#rest = undefined;
    for (const vcpu of this.#options.vcpus) vcpu.resume();
  }

  /** @throws VmStateError WRONG_STATE unless they run, ENDED when the VM has ended */
  requireRunning(what: string): void {
    if (this.#state !== 'running' || this.#options.latch.hasStopped) throw this.#wrongState(what, 'running');
  }

  /** @returns whether the vCPU goes on */
  #answer(vcpu: Vcpu, exit: VmExit): boolean {
    const { latch, handleExit, hold } = this.#options;
    if (exit.kind === 'interrupted') return !latch.hasStopped && !this.#rests(vcpu);
    handleExit(vcpu, exit);
    const until = hold.take();
    if (until === undefined) return !latch.hasStopped;
    void until.then(() => {
      if (!latch.hasStopped) vcpu.resume();
    });
    return false;
  }

  #rests(vcpu: Vcpu): boolean {
    if (this.#rest === undefined) return false;
    this.#rest.reached.add(vcpu);
    if (this.#rest.reached.size === this.#options.vcpus.length) this.#rest.all.resolve();
    return true;
  }

  #wrongState(what: string, needed: VcpuGroupState): VmStateError {
    if (this.#options.latch.hasStopped) return new VmStateError('ENDED', `cannot ${what} the VM: it has ended`);
    return new VmStateError('WRONG_STATE', `cannot ${what} the VM: it is ${this.#state}, not ${needed}`, {
      state: this.#state,
    });
  }
}
