// What limits mean for the size of the VM of a container that has one of its own: it grows with them, and gives back what it got.
import type { Resources } from '../oci/update-merge.ts';
import { withAnnotations } from './annotations.ts';
import { loadSettings } from './configuration-load.ts';
import type { Installation } from './installation.ts';
import { callSandbox } from './sandbox-client.ts';
import { sizeVm } from './sizing.ts';
import { readHostSize } from './sizing-host.ts';
import type { ContainerRecord } from './state-store.ts';

/** Where the configuration is from. */
export interface ConfigurationSource {
  readonly installation: Installation;
  /** The file that the caller names with --config. */
  readonly config?: string | undefined;
}

export interface VmSize {
  readonly memoryMib: number;
  readonly cpus: number;
}

/** Sizes of a VM around an update of its container's limits. */
export interface SizeChange {
  readonly before: VmSize;
  /** What goes with the new limits; it may be more than the VM can have. */
  readonly after: VmSize;
}

/** Longer than the guest gets for both parts. */
const RESIZE_MS = 60_000;

/**
 * What an update means for a VM. Only what the update is about changes: the configuration may be another one since the VM was made.
 * @param record of the container, with its limits as they are @param update as effectiveUpdate gave it
 * @param resources both together
 * @throws RuntimeError INVALID_CONFIGURATION
 */
export async function sizesForUpdate(
  { installation, config }: ConfigurationSource,
  record: Pick<ContainerRecord, 'annotations' | 'resources' | 'vmMemoryMib'>,
  update: Resources,
  resources: Resources,
): Promise<SizeChange> {
  const { annotations = {}, vmMemoryMib } = record;
  const { values } = withAnnotations(await loadSettings(installation, config), annotations);
  // The VM has bounds of its own. What would be beyond them is not to be missed here: it is told.
  const keys = { ...values, default_maxmemory: 0, default_maxvcpus: 0 };
  const host = readHostSize();
  const sizeFor = (limits: Resources): VmSize => sizeVm({ linux: { resources: limits }, annotations }, keys, host);
  const before = { memoryMib: vmMemoryMib, cpus: sizeFor(record.resources).cpus };
  const after = sizeFor(resources);
  return {
    before,
    after: {
      memoryMib: update.memory === undefined ? before.memoryMib : after.memoryMib,
      cpus: update.cpu === undefined ? before.cpus : after.cpus,
    },
  };
}

/** The greater of each part. */
export function largerOf(a: VmSize, b: VmSize): VmSize {
  return { memoryMib: Math.max(a.memoryMib, b.memoryMib), cpus: Math.max(a.cpus, b.cpus) };
}

/** The smaller of each part. */
export function smallerOf(a: VmSize, b: VmSize): VmSize {
  return { memoryMib: Math.min(a.memoryMib, b.memoryMib), cpus: Math.min(a.cpus, b.cpus) };
}

/** Of a VM that is to stay as it is. */
export function sameSize({ vmMemoryMib }: Pick<ContainerRecord, 'vmMemoryMib'>): SizeChange {
  const size = { memoryMib: vmMemoryMib, cpus: 0 };
  return { before: size, after: size };
}

/**
 * Takes the VM to a size, as far as it goes: what it was started with it keeps, and its bounds were set then. Parts that the change
 * is not about stay.
 * @param directory the sandbox's
 * @returns what it has then
 * @throws StatusError
 */
export async function resizeVm(directory: string, { before, after }: SizeChange, to: VmSize): Promise<VmSize> {
  const request = {
    memoryMib: before.memoryMib === after.memoryMib ? 0 : to.memoryMib,
    cpus: before.cpus === after.cpus ? 0 : to.cpus,
  };
  if (request.memoryMib === 0 && request.cpus === 0) return before;
  const { memoryMib, cpus } = await callSandbox(directory, 'Resize', request, RESIZE_MS);
  return { memoryMib: (request.memoryMib && memoryMib) || before.memoryMib, cpus: cpus || before.cpus };
}

/** What is said of a VM that could not become as big as the limits ask for. */
export function shortfalls(size: VmSize, wanted: VmSize): string[] {
  const parts = [
    { key: 'default_maxmemory', has: size.memoryMib, wants: wanted.memoryMib, unit: 'MiB' },
    { key: 'default_maxvcpus', has: size.cpus, wants: wanted.cpus, unit: 'processors' },
  ];
  return parts
    .filter(({ has, wants }) => has < wants)
    .map(
      ({ key, has, wants, unit }) =>
        `the virtual machine has ${has} ${unit} and cannot have the ${wants} that go with the limit: it grows up to ${key}, as that was when the container was made, and its memory not in huge pages of a pool`,
    );
}
