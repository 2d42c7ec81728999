// A VM that has been built: it runs, and it ends for one reason, which is named.
import type { AddressBus } from '../bus/address-bus.ts';
import type { Vcpu, VmExit } from '../hypervisor/ports.ts';
import { messageOf } from '../lib/errors.ts';
import type { Timeline } from './timeline.ts';

/** Why a VM ended. */
export type StopReason =
  /** The guest asked for a reset, by the keyboard controller: how a guest without ACPI reboots and powers off. */
  | { readonly kind: 'guest-reset' }
  /** kill() was called. */
  | { readonly kind: 'killed' }
  /** A fault while a fault was being handled: the guest's kernel is broken, or was entered wrongly. */
  | { readonly kind: 'triple-fault'; readonly vcpu: number; readonly instructionPointer: bigint }
  /** The processor or KVM refused to run the guest as it was set up. */
  | { readonly kind: 'entry-failure'; readonly vcpu: number; readonly hardwareReason: bigint }
  /** KVM could not emulate what the guest did. */
  | {
      readonly kind: 'internal-error';
      readonly vcpu: number;
      readonly suberror: number;
      readonly data: readonly bigint[];
      readonly instructionPointer: bigint;
    }
  /** A program without which the guest cannot go on, such as virtiofsd, has ended. */
  | { readonly kind: 'back-end-ended'; readonly error: Error }
  /** An exit that this VMM does not know what to do with. */
  | { readonly kind: 'unhandled-exit'; readonly vcpu: number; readonly exit: VmExit }
  /** The VMM itself failed. */
  | { readonly kind: 'vmm-failure'; readonly error: unknown };

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** A stop reason as a sentence for a person. */
export function describeStop(reason: StopReason): string {
  switch (reason.kind) {
    case 'guest-reset':
      return 'the guest reset the machine';
    case 'killed':
      return 'the VM was ended from outside';
    case 'triple-fault':
      return `vCPU ${reason.vcpu} had a triple fault at ${hex(reason.instructionPointer)}: the guest kernel crashed before it could say why`;
    case 'entry-failure':
      return `vCPU ${reason.vcpu} could not enter the guest, hardware reason ${hex(reason.hardwareReason)}: run "tsvm check"`;
    case 'internal-error':
      return `KVM could not go on with vCPU ${reason.vcpu} at ${hex(reason.instructionPointer)}: internal error ${reason.suberror}, data ${reason.data.map(hex).join(' ')}; run "tsvm check"`;
    case 'back-end-ended':
      return reason.error.message;
    case 'unhandled-exit':
      return `vCPU ${reason.vcpu} left the guest for a reason that is not handled: ${reason.exit.kind}`;
    case 'vmm-failure':
      return `the VMM failed: ${messageOf(reason.error)}`;
  }
}

/** Holds the reason for which a VM ends: the first that is given. */
export class StopLatch {
  readonly #stopped = Promise.withResolvers<StopReason>();
  #hasStopped = false;

  get hasStopped(): boolean {
    return this.#hasStopped;
  }

  /** Settles once, with the reason. */
  get stopped(): Promise<StopReason> {
    return this.#stopped.promise;
  }

  stop(reason: StopReason): void {
    this.#hasStopped = true;
    this.#stopped.resolve(reason);
  }
}

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

export interface VmParts {
  readonly latch: StopLatch;
  readonly hold: Hold;
  readonly vcpus: readonly Vcpu[];
  readonly pioBus: AddressBus;
  readonly mmioBus: AddressBus;
  readonly timeline: Timeline;
  /** Bytes typed on the serial console. */
  readonly serialInput: (bytes: Uint8Array) => void;
  /** Everything to be released at the end, in reverse order of its making. */
  readonly resources: AsyncDisposableStack;
}

/** A VM. Disposing it ends it and releases all that it had. */
export class Vm implements AsyncDisposable {
  readonly #parts: VmParts;

  constructor(parts: VmParts) {
    this.#parts = parts;
    void parts.latch.stopped.then(() => {
      for (const vcpu of parts.vcpus) vcpu.kick();
    });
  }

  /** Settles once, with the reason for which the VM ended. */
  get stopped(): Promise<StopReason> {
    return this.#parts.latch.stopped;
  }

  get timeline(): Timeline {
    return this.#parts.timeline;
  }

  /** Exits to this process so far, of all vCPUs, by KVM_EXIT_* name. */
  get exitCounts(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const vcpu of this.#parts.vcpus) {
      for (const [reason, count] of vcpu.exitCounts) sums.set(reason, (sums.get(reason) ?? 0) + count);
    }
    return sums;
  }

  /** Lets the vCPUs run. Call once. */
  start(): void {
    this.#parts.timeline.mark('kernel-entry', process.hrtime.bigint());
    for (const vcpu of this.#parts.vcpus) {
      vcpu.start({
        onExit: (exit) => this.#handleExit(vcpu, exit),
        onFailure: (error) => this.#parts.latch.stop({ kind: 'vmm-failure', error }),
      });
    }
  }

  serialInput(bytes: Uint8Array): void {
    this.#parts.serialInput(bytes);
  }

  /** Ends the VM at once, whatever the guest is doing. */
  kill(): void {
    this.#parts.latch.stop({ kind: 'killed' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#parts.resources.disposeAsync();
  }

  /** @returns whether the vCPU goes on */
  #handleExit(vcpu: Vcpu, exit: VmExit): boolean {
    const { pioBus, mmioBus, latch } = this.#parts;
    switch (exit.kind) {
      case 'pio-read':
        pioBus.read(exit.port, exit.data, exit.size);
        break;
      case 'pio-write':
        pioBus.write(exit.port, exit.data, exit.size);
        break;
      case 'mmio-read':
        mmioBus.read(exit.address, exit.data);
        break;
      case 'mmio-write':
        mmioBus.write(exit.address, exit.data);
        if (this.#holds(vcpu)) return false;
        break;
      case 'interrupted':
        break;
      case 'shutdown':
        latch.stop({ kind: 'triple-fault', vcpu: vcpu.index, instructionPointer: vcpu.getRegisters().rip });
        break;
      case 'fail-entry':
        latch.stop({ kind: 'entry-failure', vcpu: vcpu.index, hardwareReason: exit.hardwareReason });
        break;
      case 'internal-error': {
        const { suberror, data } = exit;
        const instructionPointer = vcpu.getRegisters().rip;
        latch.stop({ kind: 'internal-error', vcpu: vcpu.index, suberror, data, instructionPointer });
        break;
      }
      case 'hlt':
      case 'system-event':
      case 'unsupported':
        latch.stop({ kind: 'unhandled-exit', vcpu: vcpu.index, exit });
        break;
    }
    return !latch.hasStopped;
  }

  /** @returns whether the vCPU has to wait; it goes on by itself */
  #holds(vcpu: Vcpu): boolean {
    const { hold, latch } = this.#parts;
    const until = hold.take();
    if (until === undefined) return false;
    void until.then(() => {
      if (!latch.hasStopped) vcpu.resume();
    });
    return true;
  }
}
