// `tsvm boot`: one VM from a kernel, its console on the terminal, until the guest or the user ends it.
import { buildVm } from '../vmm/builder.ts';
import type { VmConfig } from '../vmm/config.ts';
import { describedVm, mergeDescriptions, type VmDescription } from '../vmm/description.ts';
import { type RunFlags, runVm } from './run-vm.ts';

/** The flags of `tsvm boot` as commander gives them. */
export interface BootFlags extends VmDescription, RunFlags {
  readonly config?: string;
  readonly initramfs?: string;
}

/** What the flags say over what the configuration file says. @throws VmConfigError (rejects) */
async function toConfig(
  config: string | undefined,
  initramfs: string | undefined,
  flags: VmDescription,
): Promise<VmConfig> {
  const description = initramfs === undefined ? flags : { initrd: initramfs, ...flags };
  if (config === undefined) return describedVm(description);
  const { readDescriptionFile } = await import('../vmm/description-file.ts');
  return describedVm(mergeDescriptions(readDescriptionFile(config), description));
}

/** Boots a VM and stays until it ends. @returns the exit status; @throws when the VM cannot be made (rejects) */
export async function boot(flags: BootFlags): Promise<number> {
  const { config: file, initramfs, apiSocket, paused, timeout, report, ...description } = flags;
  const config = await toConfig(file, initramfs, description);
  return runVm((connections) => buildVm(config, connections), { ...flags, title: 'tsvm boot' });
}
