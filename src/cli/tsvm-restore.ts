// `tsvm restore`: one VM from a snapshot, with the same terminal, API and report as a VM that was booted.
import { describedDevices, type VmDescription } from '../vmm/description.ts';
import { restoreVm } from '../vmm/restore.ts';
import { type RunFlags, runVm } from './run-vm.ts';

/** The flags of `tsvm restore` as commander gives them. */
export interface RestoreFlags extends RunFlags, Pick<VmDescription, 'disk' | 'net' | 'share' | 'vsock'> {
  /** @default true */
  readonly verify?: boolean;
}

/** Makes a VM go on from a snapshot, and stays until it ends. @returns the exit status; @throws when it cannot be made */
export async function restore(directory: string, flags: RestoreFlags): Promise<number> {
  const options = { devices: describedDevices(flags), verifyMemory: flags.verify ?? true };
  return runVm((connections) => restoreVm(directory, options, connections), { ...flags, title: 'tsvm restore' });
}
