// Puts virtio devices into the machine: a page of registers, an interrupt and doorbells for each.

import { virtioMmioParameter } from '../arch/x86_64/command-line.ts';
import { type VirtioMmioSlot, virtioMmioSlot } from '../arch/x86_64/layout.ts';
import type { AddressBus } from '../bus/address-bus.ts';
import {
  VIRTIO_MMIO_INT_VRING,
  VIRTIO_MMIO_INTERRUPT_ACK,
  VIRTIO_MMIO_QUEUE_NOTIFY,
} from '../devices/virtio/abi.gen.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { COALESCABLE_REGISTERS, MmioTransport } from '../devices/virtio/mmio-transport.ts';
import { TransportError } from '../devices/virtio/transport-error.ts';
import type { TransportSnapshot } from '../devices/virtio/transport-snapshot.ts';
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import type { Hypervisor, IoEventAddress, VirtualMachine } from '../hypervisor/ports.ts';
import { PAGE_SIZE } from '../lib/units.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';

const REGISTER_SIZE = 4;
/** Memory slots of KVM: RAM has the first ones, the register pages those from here on. */
const FIRST_PAGE_SLOT = 8;

export interface DeviceManagerOptions {
  readonly hypervisor: Hypervisor;
  readonly machine: VirtualMachine;
  readonly memory: GuestMemory;
  readonly mmioBus: AddressBus;
  /** The vCPU whose write is being handled is to wait for this. */
  readonly hold: (until: Promise<void>) => void;
  /** A device gave up: it asks its driver for a reset. */
  readonly onDeviceFailure: (device: VirtioDevice, failure: Error) => void;
}

/** The virtio devices of one VM, in the order in which they were attached. */
export class DeviceManager implements Disposable {
  readonly #options: DeviceManagerOptions;
  readonly #attached: AttachedDevice[] = [];

  constructor(options: DeviceManagerOptions) {
    this.#options = options;
  }

  /** Attaches a device to the next free slot. @throws RangeError when there is none; SystemError, KvmError */
  attach(device: VirtioDevice): void {
    this.#attached.push(new AttachedDevice(device, this.#attached.length, this.#options));
  }

  /** Where the devices are, for the ACPI tables. */
  get slots(): VirtioMmioSlot[] {
    return this.#attached.map(({ slot }) => slot);
  }

  /** What tells a kernel without ACPI where its devices are. */
  get kernelParameters(): string[] {
    return this.#attached.map(({ slot }) => virtioMmioParameter(slot));
  }

  /** What each device's transport counted: bells that this process answered, interrupts, failures. */
  counts(): Map<VirtioDevice, Readonly<Record<string, number>>> {
    return new Map(this.#attached.map(({ transport }) => [transport.device, transport.metrics()]));
  }

  /**
   * Brings all devices to rest, for a snapshot; the vCPUs stand still by then.
   * @throws what keeps one from it (rejects); all go on then
   */
  async quiesce(): Promise<void> {
    const rested: AttachedDevice[] = [];
    try {
      for (const attached of this.#attached) {
        await attached.transport.quiesce();
        rested.push(attached);
      }
    } catch (error) {
      for (const attached of rested) attached.resume();
      throw error;
    }
  }

  /** Lets all devices go on. */
  resume(): void {
    for (const attached of this.#attached) attached.resume();
  }

  /** What each device needs to go on in another process, in the order in which they were attached; asked for at rest. */
  saveState(): DeviceSnapshot[] {
    return this.#attached.map(({ transport }) => ({ name: transport.device.name, transport: transport.saveState() }));
  }

  /**
   * Gives new devices the state of saved ones; they are at rest then.
   * @throws TransportError when they are not the same devices
   */
  restoreState(snapshots: readonly unknown[]): void {
    if (snapshots.length !== this.#attached.length) {
      const counts = `${snapshots.length} devices were saved, ${this.#attached.length} are there`;
      throw new TransportError('SNAPSHOT', `${counts}: give as many of each kind as there were`);
    }
    for (const [index, { transport }] of this.#attached.entries()) {
      transport.restoreState((snapshots[index] as Partial<DeviceSnapshot> | null)?.transport);
    }
  }

  [Symbol.dispose](): void {
    for (const attached of this.#attached.splice(0).reverse()) attached[Symbol.dispose]();
  }
}

/** A device in a snapshot. */
export interface DeviceSnapshot {
  /** For a person who looks into the file. */
  readonly name: string;
  readonly transport: TransportSnapshot;
}

/**
 * One device with everything that connects it. Reading its registers does not leave the guest, nor does ringing a bell or
 * acknowledging a used buffer interrupt: docs/adr/0004-virtio-mmio-register-page.md.
 */
class AttachedDevice implements Disposable {
  readonly slot: VirtioMmioSlot;
  readonly transport: MmioTransport;
  readonly #bells: readonly EventFd[];
  readonly #resources: DisposableStack;
  /** While a device model of this process is at work: its bells on the event loop. */
  #watches: readonly Disposable[] = [];

  constructor(device: VirtioDevice, index: number, options: DeviceManagerOptions) {
    const { hypervisor, machine } = options;
    this.slot = virtioMmioSlot(index);
    const { address, gsi } = this.slot;
    using resources = new DisposableStack();
    const page = resources.use(hypervisor.allocateMemory(PAGE_SIZE, { shared: false, name: device.name }));
    const interrupt = resources.use(new EventFd());
    machine.connectIrqFd(interrupt.fd, gsi);
    resources.defer(() => machine.disconnectIrqFd(interrupt.fd, gsi));
    const bells = device.queueSizes.map(() => resources.use(new EventFd()));
    const connectDoorbell = (bell: EventFd, register: number, match: number): void => {
      const where: IoEventAddress = {
        space: 'mmio',
        address: address + register,
        length: REGISTER_SIZE,
        match: BigInt(match),
      };
      machine.connectIoEventFd(bell.fd, where);
      resources.defer(() => machine.disconnectIoEventFd(bell.fd, where));
    };
    for (const [queue, bell] of bells.entries()) {
      if (device.awaitedQueues?.includes(queue) !== true) connectDoorbell(bell, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    }
    connectDoorbell(resources.use(new EventFd()), VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);

    this.#bells = bells;
    this.transport = resources.use(
      new MmioTransport(device, {
        memory: options.memory,
        page: page.bytes,
        interrupt,
        defer: (work) => setImmediate(work),
        eventFds: (queue) => ({ kick: bells[queue]?.fd ?? raiseNoQueue(device, queue), call: interrupt.fd }),
        ringBell: (queue) => bells[queue]?.signal(),
        onFailure: (failure) => options.onDeviceFailure(device, failure),
      }),
    );
    resources.defer(() => this.#unwatch());
    if (hypervisor.hasReadonlyMemory) {
      machine.setMemorySlot(FIRST_PAGE_SLOT + index, address, page, { readOnly: true });
      resources.defer(() => machine.removeMemorySlot(FIRST_PAGE_SLOT + index));
    }
    if (hypervisor.hasCoalescedMmio) {
      for (const register of COALESCABLE_REGISTERS) machine.coalesceMmio(address + register, REGISTER_SIZE);
    }
    resources.use(
      options.mmioBus.register(
        device.name,
        { base: address, length: PAGE_SIZE },
        {
          read: (offset, data) => data.set(this.transport.read(offset, data.length)),
          write: (offset, data) => {
            const busy = this.transport.write(offset, data);
            this.#followState();
            if (busy !== undefined) options.hold(busy);
          },
        },
      ),
    );
    this.#resources = resources.move();
  }

  resume(): void {
    this.transport.resume();
    this.#followState();
  }

  /** Bells are watched while a device model of this process answers them; other back ends watch them by themselves. */
  #followState(): void {
    const { state } = this.transport;
    const answers = state.kind === 'active' && state.device.queueNotified !== undefined;
    if (!answers) this.#unwatch();
    else if (this.#watches.length === 0) {
      this.#watches = this.#bells.map((bell, queue) =>
        watchFd(bell.fd, () => {
          bell.drain();
          this.transport.notify(queue);
        }),
      );
    }
  }

  #unwatch(): void {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#watches = [];
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

function raiseNoQueue(device: VirtioDevice, queue: number): never {
  throw new RangeError(`${device.name} has no queue ${queue}`);
}
