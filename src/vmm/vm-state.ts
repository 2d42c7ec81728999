// What a snapshot knows of a VM beside its memory, and how a new VM takes it over.
import type { MachineState, Vcpu, VcpuState } from '../hypervisor/ports.ts';
import { messageOf } from '../lib/errors.ts';
import { type VmConfig, withAbsolutePaths } from './config.ts';
import type { Machine } from './machine.ts';
import { readSavedConfig } from './saved-config.ts';
import { SnapshotError } from './snapshot-folder.ts';
import type { StateValue } from './state-json.ts';

interface VmState {
  readonly config: VmConfig;
  readonly machine: MachineState;
  readonly vcpus: readonly VcpuState[];
  readonly legacy: unknown;
  readonly devices: readonly unknown[];
  /** What is plugged of the memory that can be; null in a VM that cannot grow. */
  readonly growth: unknown;
}

/** Asked for while vCPUs and devices rest. */
export function saveVmState(vm: Machine & { readonly config: VmConfig; readonly vcpus: readonly Vcpu[] }): StateValue {
  const state: VmState = {
    config: withAbsolutePaths(vm.config),
    vcpus: vm.vcpus.map((vcpu) => vcpu.saveState()),
    machine: vm.machine.saveState(),
    legacy: vm.legacy.saveState(),
    devices: vm.devices.saveState(),
    growth: vm.virtio.memory?.saveState() ?? null,
  };
  return state as unknown as StateValue;
}

/**
 * Takes what a snapshot has for a state. What is in the other parts is judged by those who take them over.
 * @throws SnapshotError CORRUPTED
 */
export function readVmState(path: string, value: StateValue): VmState {
  const state = value as Partial<VmState> | null;
  const isWhole =
    typeof state === 'object' &&
    state !== null &&
    [state.machine, state.legacy].every((part) => typeof part === 'object' && part !== null) &&
    Array.isArray(state.vcpus) &&
    Array.isArray(state.devices);
  if (!isWhole) throw new SnapshotError('CORRUPTED', `the snapshot ${path} lacks the state of a part`, { path });
  return { ...(state as VmState), config: readConfig(path, state.config) };
}

function readConfig(path: string, value: unknown): VmConfig {
  try {
    return readSavedConfig(value);
  } catch (cause) {
    throw new SnapshotError('CORRUPTED', `the snapshot ${path} is damaged: ${messageOf(cause)}`, { path }, { cause });
  }
}

/** Gives a new machine the state of a saved one; its devices are at rest then. @throws the errors of the parts */
export function restoreVmState(vm: Machine & { readonly vcpus: readonly Vcpu[] }, state: VmState): void {
  // Before the interrupt controllers: what waits in them is delivered to the vCPUs' local APICs.
  for (const [index, vcpu] of vm.vcpus.entries()) {
    const saved = state.vcpus[index];
    if (saved !== undefined) vcpu.restoreState(saved);
  }
  vm.machine.restoreState(state.machine);
  for (const vcpu of vm.vcpus) vcpu.notifyClockPaused();
  vm.legacy.restoreState(state.legacy);
  vm.virtio.memory?.restoreState(state.growth);
  vm.devices.restoreState(state.devices);
}
