// For tests that drive a real /dev/kvm with hand-assembled guests.
import { accessSync, constants } from 'node:fs';
import { BareGuest, type BareGuestOptions } from '../kvm/bare-guest.ts';
import { KvmHypervisor } from '../kvm/hypervisor.ts';
import type { HostMemory, VmExit } from '../ports.ts';

/** Longest that a guest of a few instructions may take, on a busy machine with a slow backend. */
export const GUEST_LIMIT_MS = 45_000;

/** Whether this machine has a /dev/kvm that this process may use; without it these tests are skipped. */
export function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The exit with a copy of its data, which the next exit would overwrite. */
function withOwnData(exit: VmExit): VmExit {
  switch (exit.kind) {
    case 'pio-read':
    case 'pio-write':
    case 'mmio-read':
    case 'mmio-write':
      return { ...exit, data: exit.data.slice() };
    default:
      return exit;
  }
}

/** A bare guest and the hypervisor it runs on, disposed together. */
export class GuestUnderTest extends BareGuest {
  readonly #kvm: KvmHypervisor;

  constructor(options: BareGuestOptions) {
    const kvm = KvmHypervisor.open();
    super(kvm, options);
    this.#kvm = kvm;
  }

  /**
   * Runs the first vCPU until it halts or fails.
   * @param answer what to do at an exit, called before the exit is recorded (so that filled-in data is recorded)
   * @returns all exits with copies of their data
   */
  async exitsUntilEnd(answer: (exit: VmExit) => void = () => {}): Promise<VmExit[]> {
    const exits: VmExit[] = [];
    await this.run((exit) => {
      answer(exit);
      exits.push(withOwnData(exit));
      return ['pio-read', 'pio-write', 'mmio-read', 'mmio-write'].includes(exit.kind);
    }, GUEST_LIMIT_MS);
    return exits;
  }

  /** More memory for the guest, disposed by the caller. */
  allocate(size: number): HostMemory {
    return this.#kvm.allocateMemory(size, { shared: false, name: 'test' });
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#kvm[Symbol.dispose]();
  }
}
