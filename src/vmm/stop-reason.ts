// Why a VM ended: one reason, named, and said to a person.
import { messageOf } from '../lib/errors.ts';

/** The vCPU that cannot go on. */
export interface VcpuFailure {
  readonly vcpu: number;
  readonly instructionPointer: bigint;
  /** What it left the guest with, in words. */
  readonly exit: string;
  /** Its registers, several to a line. */
  readonly registers: string;
}

/** Why a VM ended. */
export type StopReason =
  /** The guest asked for a reset, by the keyboard controller: how a guest without ACPI reboots and powers off. */
  | { readonly kind: 'guest-reset' }
  /** The guest switched the machine off, by ACPI. */
  | { readonly kind: 'guest-power-off' }
  /** The guest's kernel panicked, and said so by pvpanic. */
  | { readonly kind: 'guest-panic' }
  /** kill() was called. */
  | { readonly kind: 'killed' }
  /** A fault while a fault was being handled: the guest's kernel is broken, or was entered wrongly. */
  | ({ readonly kind: 'triple-fault' } & VcpuFailure)
  /** The processor or KVM refused to run the guest as it was set up. */
  | ({ readonly kind: 'entry-failure' } & VcpuFailure)
  /** KVM could not emulate what the guest did. */
  | ({ readonly kind: 'internal-error' } & VcpuFailure)
  /** An exit that this VMM does not know what to do with. */
  | ({ readonly kind: 'unhandled-exit' } & VcpuFailure)
  /** A program without which the guest cannot go on, such as virtiofsd, has ended. */
  | { readonly kind: 'back-end-ended'; readonly error: Error }
  /** The VMM itself failed. */
  | { readonly kind: 'vmm-failure'; readonly error: unknown };

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** A stop reason as a sentence for a person. */
export function describeStop(reason: StopReason): string {
  switch (reason.kind) {
    case 'guest-reset':
      return 'the guest reset the machine';
    case 'guest-power-off':
      return 'the guest switched the machine off';
    case 'guest-panic':
      return 'the guest kernel panicked; its console says why';
    case 'killed':
      return 'the VM was ended from outside';
    case 'triple-fault':
      return `vCPU ${reason.vcpu} had a triple fault at ${hex(reason.instructionPointer)}: the guest kernel crashed before it could say why`;
    case 'entry-failure':
      return `vCPU ${reason.vcpu} could not enter the guest: ${reason.exit}; run "tsvm check"`;
    case 'internal-error':
      return `KVM could not go on with vCPU ${reason.vcpu} at ${hex(reason.instructionPointer)}: ${reason.exit}; run "tsvm check"`;
    case 'unhandled-exit':
      return `vCPU ${reason.vcpu} left the guest at ${hex(reason.instructionPointer)} for a reason that is not handled: ${reason.exit}`;
    case 'back-end-ended':
      return reason.error.message;
    case 'vmm-failure':
      return `the VMM failed: ${messageOf(reason.error)}`;
  }
}

/** What a developer wants to know beyond that: the registers of the vCPU that could not go on. */
export function stopDetails(reason: StopReason): string | undefined {
  return 'registers' in reason ? reason.registers : undefined;
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
