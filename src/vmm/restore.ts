// How a VM is made from a snapshot: in a new process, as often as wanted, and at the same time.
import type { Fd } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { checkVmConfig, growthOf, needsSharedMemory, type VmConfig } from './config.ts';
import { assembleMachine, type RamSource, type VmConnections } from './machine.ts';
import { readMemoryFile } from './memory-file.ts';
import { SnapshotError, SnapshotFolder } from './snapshot-folder.ts';
import { Vm } from './vm.ts';
import { readVmState, restoreVmState } from './vm-state.ts';

/** What of a VM may be another one after a restore: each list replaces the saved one, device by device. */
export type RestoredDevices = Partial<Pick<VmConfig, 'disks' | 'nets' | 'shares' | 'vsock'>>;

export interface RestoreOptions {
  /** @default the snapshot's */
  readonly devices?: RestoredDevices;
  /** Whether all memory is read and compared with its digest before the VM is made. @default true */
  readonly verifyMemory?: boolean;
}

const GUEST_RAM = 'guest-ram';

/**
 * Makes a VM that goes on, at `start`, where the saved one stood. Its memory is mapped from the snapshot and copied where
 * the guest writes, so that clones share pages; a VM whose back ends are in other processes gets a copy. Connections of the
 * guest's vsock are reset. On failure nothing is left behind.
 * @throws SnapshotError, and what buildVm throws (rejects)
 */
export async function restoreVm(
  directory: string,
  { devices = {}, verifyMemory = true }: RestoreOptions,
  connections: VmConnections,
): Promise<Vm> {
  await using resources = new AsyncDisposableStack();
  const snapshot = resources.use(new SnapshotFolder(directory, { verifyMemory }));
  const state = readVmState(directory, snapshot.state);
  const config: VmConfig = { ...state.config, ...devices };
  checkVmConfig(config);
  const { cpus, maxCpus = cpus, memoryMib, hugePages } = config;
  const { bytes } = snapshot.manifest.memory;
  // What could be plugged is only there when some of it was.
  const sizes = [memoryMib * MIB, memoryMib * MIB + (growthOf(config)?.size ?? 0)];
  if (!sizes.includes(bytes) || state.vcpus.length !== maxCpus) {
    const found = `${bytes} bytes of memory and ${state.vcpus.length} vCPUs`;
    throw new SnapshotError('CORRUPTED', `the snapshot ${directory} has ${found}, not those of its configuration`);
  }
  const mustCopy = hugePages !== undefined || needsSharedMemory(config);
  const source = mustCopy ? copyOf(snapshot.memory.fd, config) : mappingOf(snapshot.memory.fd, bytes);
  const machine = await assembleMachine(config, connections, source, resources);
  const vcpus = Array.from({ length: maxCpus }, (_, index) => resources.use(machine.machine.createVcpu(index)));
  restoreVmState({ ...machine, vcpus }, state);
  machine.legacy.renewGeneration();
  machine.timeline.mark('vm-start', process.hrtime.bigint());
  return new Vm({ ...machine, config, vcpus, isRestored: true, resources: resources.move() });
}

function mappingOf(fd: Fd, fileSize: number): RamSource {
  return (hypervisor, offset, size) =>
    offset < fileSize
      ? hypervisor.mapFileMemory(fd, offset, size, GUEST_RAM)
      : hypervisor.allocateMemory(size, { shared: false, name: GUEST_RAM });
}

function copyOf(fd: Fd, { hugePages }: VmConfig): RamSource {
  return (hypervisor, offset, size) => {
    const pages = hugePages === undefined ? {} : { hugePages };
    const host = hypervisor.allocateMemory(size, { shared: true, name: GUEST_RAM, ...pages });
    try {
      readMemoryFile(fd, { offset, length: size }, (at, length) =>
        host.bytes.subarray(at - offset, at - offset + length),
      );
      return host;
    } catch (error) {
      host[Symbol.dispose]();
      throw error;
    }
  };
}
