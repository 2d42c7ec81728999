// Why a VM ended: one reason, named, and said to a person.
import type { VmExit } from '../hypervisor/ports.ts';
import { messageOf } from '../lib/errors.ts';

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
    case 'guest-power-off':
      return 'the guest switched the machine off';
    case 'guest-panic':
      return 'the guest kernel panicked; its console says why';
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
