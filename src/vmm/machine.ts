// The parts of a VM put together, but for what its processors start with: that comes from a kernel or from a snapshot.
import { ramRegions } from '../arch/x86_64/layout.ts';
import { AddressBus } from '../bus/address-bus.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import type { FileRange } from '../ffi/fd.unsafe.ts';
import type { SharedMemory } from '../host/vhost-user.ts';
import type { VirtiofsdChoice } from '../host/virtiofsd.ts';
import { KvmHypervisor } from '../hypervisor/kvm/hypervisor.ts';
import type { HostMemory, Hypervisor, VirtualMachine } from '../hypervisor/ports.ts';
import type { GuestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { growthOf, MAX_MEMORY_KEY, type VmConfig } from './config.ts';
import { VmConfigError } from './config-error.ts';
import { ConsoleHub } from './console-hub.ts';
import { DeviceManager } from './device-manager.ts';
import type { BackendContext } from './devices/kind.ts';
import { GrowthMemory, slotsNeeded } from './growth-memory.ts';
import { LegacyDevices } from './legacy-devices.ts';
import { limitLog } from './log-limit.ts';
import type { ConsoleName } from './operations.ts';
import { StopLatch } from './stop-reason.ts';
import { Timeline } from './timeline.ts';
import { Hold } from './vcpu-group.ts';
import { type OpenedDevices, openVirtioDevices } from './virtio-devices.ts';
import { VmEvents } from './vm-events.ts';

/** What a VM is connected to from its start; consoles are attached to a VM that is there. */
export interface VmConnections {
  /** One line on something that a person who looks for a reason wants to know. */
  readonly log: (line: string) => void;
  /**
   * Which virtiofsd serves shares. Not a part of the configuration, which a snapshot keeps: who restores a snapshot does not run
   * a program that it names. @default the first of those that Debian installs
   */
  readonly virtiofsd?: VirtiofsdChoice;
}

/** A region of guest RAM. */
export interface RamRegion {
  readonly guestAddress: GuestAddress;
  readonly host: HostMemory;
  /** What of it is RAM now. Absent: all of it. */
  readonly plugged?: PluggedParts;
}

interface PluggedParts {
  /** In order, in bytes from the start of the region. */
  ranges(): Iterable<FileRange>;
}

/**
 * Gives the host memory of a region: of RAM that is there from the start, and then of what can be plugged.
 * @param offset of the region among all of them, bytes, as if there were no hole
 */
export type RamSource = (hypervisor: Hypervisor, offset: number, size: number) => HostMemory;

export interface Machine {
  readonly hypervisor: Hypervisor;
  readonly machine: VirtualMachine;
  readonly ram: readonly RamRegion[];
  readonly memory: GuestMemory;
  readonly pioBus: AddressBus;
  readonly mmioBus: AddressBus;
  readonly latch: StopLatch;
  readonly hold: Hold;
  readonly legacy: LegacyDevices;
  readonly virtio: OpenedDevices;
  readonly devices: DeviceManager;
  /** The consoles that the guest has. */
  readonly consoles: ReadonlyMap<ConsoleName, ConsoleHub>;
  readonly events: VmEvents;
  readonly timeline: Timeline;
}

/**
 * Opens the hypervisor and everything that the VM consists of.
 * @param resources takes what must be released, in reverse order
 * @throws KvmError, SystemError, and the errors of the back ends
 */
export async function assembleMachine(
  config: VmConfig,
  connections: VmConnections,
  ramSource: RamSource,
  resources: AsyncDisposableStack,
): Promise<Machine> {
  const timeline = new Timeline();
  const hypervisor = resources.use(KvmHypervisor.open());
  const machine = resources.use(hypervisor.createVm());
  // The interrupt controllers come before the vCPUs: a vCPU's local APIC is made with them.
  machine.createInterruptControllers();
  const ram = allocateRam(hypervisor, machine, config.memoryMib * MIB, ramSource, resources);
  const growth = allocateGrowth(hypervisor, machine, config, ramSource, resources);
  const memory = new GuestMemory(ram.map(({ guestAddress, host: { bytes } }) => ({ guestAddress, bytes })));
  if (growth !== undefined) {
    const { region, host } = growth;
    const guestAddress = region.address;
    ram.push({ guestAddress, host, plugged: { ranges: () => virtio.memory?.pluggedRanges() ?? [] } });
    const isRam = (offset: number, length: number): boolean => virtio.memory?.isPlugged(offset, length) ?? false;
    growth.onFirstPlug(() => memory.add({ guestAddress, bytes: host.bytes, isRam }));
  }

  const pioBus = new AddressBus('pio');
  const mmioBus = new AddressBus('mmio');
  const latch = new StopLatch();
  const hold = new Hold();
  const events = new VmEvents();
  const log = limitLog(connections.log);
  const serialHub = new ConsoleHub((bytes) => legacy.serial.input(bytes));
  const virtioHub = new ConsoleHub((bytes) => virtio.console?.input(bytes));
  const legacy: LegacyDevices = resources.use(
    new LegacyDevices({
      machine,
      pioBus,
      memory,
      hasSerialPort: config.serial === true,
      serialOutput: (bytes) => {
        const busy = serialHub.output(bytes);
        if (busy !== undefined) hold.set(busy);
      },
      stop: (reason) => latch.stop(reason),
      log,
    }),
  );
  // Back ends before devices, so that at the end the devices stop first, and what is in flight finds memory and files there.
  const context: BackendContext = {
    get memory() {
      return ram.map(shareRegion);
    },
    mappedMemory: ram.map(({ guestAddress, host }) => ({
      guestAddress,
      size: host.size,
      hostAddress: host.hostAddress,
    })),
    memorySize: (config.maxMemoryMib ?? config.memoryMib) * MIB,
    discard: (address, length) => {
      const { host, offset } = hostRange(ram, address, length);
      host.discard(offset, length);
    },
    consoleOutput: (bytes) => virtioHub.output(bytes),
    ...(connections.virtiofsd === undefined ? {} : { virtiofsd: connections.virtiofsd }),
    log,
    onEnd: (error: Error) => latch.stop({ kind: 'back-end-ended', error }),
    resources,
  };
  const virtio: OpenedDevices = await openVirtioDevices(config, context, growth);
  const devices = resources.use(
    new DeviceManager({
      hypervisor,
      machine,
      memory,
      mmioBus,
      hold: hold.set,
      onDeviceFailure: (device: VirtioDevice, { message }) => {
        log(`${device.name} failed: ${message}`);
        events.emit({ kind: 'device-failed', device: device.name, message });
      },
    }),
  );
  for (const device of virtio.all) devices.attach(device);
  const consoles: ReadonlyMap<ConsoleName, ConsoleHub> = new Map([
    ...(config.serial === true ? [['serial', serialHub] as const] : []),
    ...(virtio.console === undefined ? [] : [['hvc0', virtioHub] as const]),
  ]);
  return {
    hypervisor,
    machine,
    ram,
    memory,
    pioBus,
    mmioBus,
    latch,
    hold,
    legacy,
    virtio,
    devices,
    consoles,
    events,
    timeline,
  };
}

function allocateRam(
  hypervisor: Hypervisor,
  machine: VirtualMachine,
  memorySize: number,
  source: RamSource,
  resources: AsyncDisposableStack,
): RamRegion[] {
  let offset = 0;
  return ramRegions(memorySize).map(({ address, size }, slot) => {
    const host = resources.use(source(hypervisor, offset, size));
    machine.setMemorySlot(slot, address, host);
    offset += size;
    return { guestAddress: address, host };
  });
}

/** @throws VmConfigError when this host cannot plug as many blocks */
function allocateGrowth(
  hypervisor: Hypervisor,
  machine: VirtualMachine,
  config: VmConfig,
  source: RamSource,
  resources: AsyncDisposableStack,
): GrowthMemory | undefined {
  const region = growthOf(config);
  if (region === undefined) return undefined;
  const { memorySlotCount } = hypervisor;
  if (slotsNeeded(region) > memorySlotCount) {
    const allowed = `the same as memory: this host's KVM has ${memorySlotCount} memory slots, Linux 5.12 and newer have 32764`;
    throw new VmConfigError(MAX_MEMORY_KEY, `${config.maxMemoryMib} MiB`, allowed);
  }
  return new GrowthMemory(machine, region, resources.use(source(hypervisor, config.memoryMib * MIB, region.size)));
}

function shareRegion({ guestAddress, host }: RamRegion): SharedMemory {
  const { fd, fdOffset, size } = host;
  if (fd === undefined) throw new TypeError('a back end needs guest memory that other processes can map');
  return { guestAddress, size, fd, fdOffset };
}

/** Where guest memory is on the host. @throws RangeError for a range that is not within a region */
export function hostRange(
  ram: readonly RamRegion[],
  address: GuestAddress,
  length: number,
): { readonly host: HostMemory; readonly offset: number } {
  const region = ram.find(
    ({ guestAddress, host }) => address >= guestAddress && address + length <= guestAddress + host.size,
  );
  if (region === undefined) throw new RangeError(`no guest RAM has ${length} bytes at 0x${address.toString(16)}`);
  return { host: region.host, offset: address - region.guestAddress };
}
