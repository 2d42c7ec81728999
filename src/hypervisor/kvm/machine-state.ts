// What a VM has in the kernel beside its vCPUs: PICs, IOAPIC, PIT and the guest's clock.
import type { MachineState } from '../ports.ts';
import {
  KVM_GET_CLOCK,
  KVM_GET_IRQCHIP,
  KVM_GET_PIT2,
  KVM_IRQCHIP_IOAPIC,
  KVM_IRQCHIP_PIC_MASTER,
  KVM_IRQCHIP_PIC_SLAVE,
  KVM_SET_CLOCK,
  KVM_SET_IRQCHIP,
  KVM_SET_PIT2,
  kvm_clock_data,
  kvm_irqchip,
  kvm_pit_state2,
} from './abi.gen.ts';
import { structure } from './call.ts';
import { KvmError } from './error.ts';
import { bytesOf, checkState, refusing } from './saved-state.ts';

/** The VM whose state it is. */
export interface MachinePort {
  /** An ioctl of the VM. @throws KvmError CALL_FAILED */
  readonly call: (request: number, name: string, argument: DataView) => void;
  readonly hasInterruptControllers: boolean;
}

/** Chips that KVM_GET_IRQCHIP reads. */
const CHIPS = { KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC } as const;
const SUBJECT = 'the saved machine';

/** @throws KvmError CALL_FAILED */
export function saveMachineState({ call, hasInterruptControllers }: MachinePort): MachineState {
  const structures: Record<string, Uint8Array> = {};
  const read = (key: string, request: number, name: string, view: DataView): void => {
    call(request, name, view);
    structures[key] = new Uint8Array(view.buffer);
  };
  if (hasInterruptControllers) {
    for (const [name, id] of Object.entries(CHIPS)) read(name, KVM_GET_IRQCHIP, 'KVM_GET_IRQCHIP', chip(id));
    read('KVM_GET_PIT2', KVM_GET_PIT2, 'KVM_GET_PIT2', structure(kvm_pit_state2.sizeof));
  }
  read('KVM_GET_CLOCK', KVM_GET_CLOCK, 'KVM_GET_CLOCK', structure(kvm_clock_data.sizeof));
  return { version: 1, structures };
}

/** @throws KvmError STATE_INVALID, STATE_UNSUPPORTED */
export function restoreMachineState({ call, hasInterruptControllers }: MachinePort, state: MachineState): void {
  checkMachineState(state, hasInterruptControllers);
  const { structures } = state;
  const write = (request: number, name: string, bytes: Uint8Array): void =>
    refusing(SUBJECT, name, () => call(request, name, new DataView(Uint8Array.from(bytes).buffer)));
  if (hasInterruptControllers) {
    for (const name of Object.keys(CHIPS))
      write(KVM_SET_IRQCHIP, 'KVM_SET_IRQCHIP', bytesOf(structures, name, SUBJECT));
    write(KVM_SET_PIT2, 'KVM_SET_PIT2', bytesOf(structures, 'KVM_GET_PIT2', SUBJECT));
  }
  // Without KVM_CLOCK_REALTIME the clock goes on where it stopped, and not where it would be had the guest run on.
  const clock = structure(kvm_clock_data.sizeof);
  clock.setBigUint64(kvm_clock_data.clock, savedClockNs(state), true);
  write(KVM_SET_CLOCK, 'KVM_SET_CLOCK', new Uint8Array(clock.buffer));
}

/** The guest's clock (kvm-clock) when it was saved, since its boot, nanoseconds. @throws KvmError STATE_INVALID */
export function savedClockNs({ structures }: MachineState): bigint {
  const bytes = bytesOf(structures, 'KVM_GET_CLOCK', SUBJECT, kvm_clock_data.sizeof);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(kvm_clock_data.clock, true);
}

function chip(id: number): DataView {
  const view = structure(kvm_irqchip.sizeof);
  view.setUint32(kvm_irqchip.chip_id, id, true);
  return view;
}

function checkMachineState(state: MachineState, hasInterruptControllers: boolean): void {
  const { structures } = state;
  checkState(state, SUBJECT, [...Object.keys(CHIPS), 'KVM_GET_PIT2', 'KVM_GET_CLOCK']);
  bytesOf(structures, 'KVM_GET_CLOCK', SUBJECT, kvm_clock_data.sizeof);
  const names = [...Object.keys(CHIPS), 'KVM_GET_PIT2'].filter((name) => structures[name] !== undefined);
  if (names.length > 0 && !hasInterruptControllers)
    throw new KvmError('STATE_INVALID', `${SUBJECT} has ${names.join(', ')}, the VM has no interrupt controllers`);
  if (!hasInterruptControllers) return;
  for (const [name, id] of Object.entries(CHIPS)) {
    const bytes = bytesOf(structures, name, SUBJECT, kvm_irqchip.sizeof);
    const found = new DataView(bytes.buffer, bytes.byteOffset).getUint32(kvm_irqchip.chip_id, true);
    if (found !== id)
      throw new KvmError('STATE_INVALID', `${name} of ${SUBJECT} is of chip ${found}`, { structure: name });
  }
  bytesOf(structures, 'KVM_GET_PIT2', SUBJECT, kvm_pit_state2.sizeof);
}
