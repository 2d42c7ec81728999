// What limits mean for the size of the VM of a container that has one of its own: it grows with them, and gives back what it got.
import { withAnnotations } from './annotations.ts';
import { loadSettings } from './configuration-load.ts';
import type { Installation } from './installation.ts';
import { callSandbox } from './sandbox-client.ts';
import type { SandboxVmSize } from './sandbox-vm.ts';
import { sizeVm } from './sizing.ts';
import { readHostSize } from './sizing-host.ts';
import type { ContainerRecord } from './state-store.ts';

/** Where the configuration is from. */
export interface ConfigurationSource {
  readonly installation: Installation;
  /** The file that the caller names with --config. */
  readonly config?: string | undefined;
}

export type WholeSize = Required<SandboxVmSize>;

/** Longer than the guest gets for both parts. */
const RESIZE_MS = 60_000;

/** How big a VM is that is made for a container with these limits. @throws RuntimeError INVALID_CONFIGURATION */
export async function sizeForLimits(
  { installation, config }: ConfigurationSource,
  { annotations, resources }: Pick<ContainerRecord, 'annotations' | 'resources'>,
): Promise<WholeSize> {
  const { values } = withAnnotations(await loadSettings(installation, config), annotations);
  const limited = { linux: { resources }, ...(annotations === undefined ? {} : { annotations }) };
  const { memoryMib, cpus } = sizeVm(limited, values, readHostSize());
  return { memoryMib, cpus };
}

/** The greater of each part. */
export function largerOf(a: WholeSize, b: WholeSize): WholeSize {
  return { memoryMib: Math.max(a.memoryMib, b.memoryMib), cpus: Math.max(a.cpus, b.cpus) };
}

/**
 * Takes the VM from one size to another, as far as it goes: what it was started with it keeps, and its bounds were set then.
 * @param directory the sandbox's
 * @returns the memory that it has then, MiB; undefined where it is to stay as it is
 * @throws StatusError
 */
export async function resizeVm(directory: string, from: WholeSize, to: WholeSize): Promise<number | undefined> {
  const request = {
    memoryMib: from.memoryMib === to.memoryMib ? 0 : to.memoryMib,
    cpus: from.cpus === to.cpus ? 0 : to.cpus,
  };
  if (request.memoryMib === 0 && request.cpus === 0) return undefined;
  const { memoryMib } = await callSandbox(directory, 'Resize', request, RESIZE_MS);
  return memoryMib;
}
