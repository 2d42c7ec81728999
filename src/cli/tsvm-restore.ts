// `tsvm restore`: one VM from a snapshot, with the same terminal, API and report as a VM that was booted.
import { disk } from '../vmm/devices/disk.ts';
import { net } from '../vmm/devices/net.ts';
import { share } from '../vmm/devices/share.ts';
import { vsock } from '../vmm/devices/vsock.ts';
import type { OptionSource } from '../vmm/options.ts';
import { type RestoredDevices, restoreVm } from '../vmm/restore.ts';
import { type RunFlags, runVm } from './run-vm.ts';

/** The flags of `tsvm restore` as commander gives them. */
export interface RestoreFlags extends RunFlags {
  readonly disk?: readonly OptionSource[];
  readonly net?: readonly OptionSource[];
  readonly share?: readonly OptionSource[];
  readonly vsock?: OptionSource;
  /** @default true */
  readonly verify?: boolean;
}

/** What is to be instead of what the snapshot names. @throws VmConfigError */
function readDevices(flags: RestoreFlags): RestoredDevices {
  return {
    ...(flags.disk === undefined ? {} : { disks: flags.disk.map((source) => disk.read(source)) }),
    ...(flags.net === undefined ? {} : { nets: flags.net.map((source) => net.read(source)) }),
    ...(flags.share === undefined ? {} : { shares: flags.share.map((source) => share.read(source)) }),
    ...(flags.vsock === undefined ? {} : { vsock: vsock.read(flags.vsock) }),
  };
}

/** Makes a VM go on from a snapshot, and stays until it ends. @returns the exit status; @throws when it cannot be made */
export async function restore(directory: string, flags: RestoreFlags): Promise<number> {
  const options = { devices: readDevices(flags), verifyMemory: flags.verify ?? true };
  return runVm((connections) => restoreVm(directory, options, connections), { ...flags, title: 'tsvm restore' });
}
