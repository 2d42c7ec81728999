// For tests that stop a guest, save it, and let it go on in another VM.
import { guestAddress } from '../../lib/brand.ts';
import type { HostMemory, Hypervisor, MachineState, Vcpu, VcpuState, VirtualMachine } from '../ports.ts';

export interface SavedGuest {
  readonly vcpus: readonly VcpuState[];
  readonly machine: MachineState;
  readonly interruptControllers: boolean;
}

/** A new VM with the state of another one, ready to start. */
export class RestoredGuest implements Disposable {
  readonly vm: VirtualMachine;
  readonly vcpus: readonly Vcpu[];

  /** @param memory is disposed by the caller, after this */
  constructor(hypervisor: Hypervisor, saved: SavedGuest, memory: HostMemory) {
    using created = new DisposableStack();
    this.vm = created.use(hypervisor.createVm());
    if (saved.interruptControllers) this.vm.createInterruptControllers();
    this.vm.setMemorySlot(0, guestAddress(0), memory);
    this.vcpus = saved.vcpus.map((state, index) => {
      const vcpu = this.vm.createVcpu(index);
      vcpu.restoreState(state);
      return vcpu;
    });
    this.vm.restoreState(saved.machine);
    for (const vcpu of this.vcpus) vcpu.notifyClockPaused();
    created.move();
  }

  get vcpu(): Vcpu {
    const [first] = this.vcpus;
    if (first === undefined) throw new RangeError('a guest without vCPUs');
    return first;
  }

  [Symbol.dispose](): void {
    this.vm[Symbol.dispose]();
  }
}

/** A copy of a saved state in which one structure was changed. */
export function withStructure<State extends VcpuState | MachineState>(
  state: State,
  name: string,
  change: (view: DataView) => void,
): State {
  const bytes = Uint8Array.from(state.structures[name] ?? []);
  change(new DataView(bytes.buffer));
  return { ...state, structures: { ...state.structures, [name]: bytes } };
}

/** A copy of a saved state without one structure. */
export function withoutStructure<State extends VcpuState | MachineState>(state: State, name: string): State {
  const { [name]: _, ...structures } = state.structures;
  return { ...state, structures };
}
