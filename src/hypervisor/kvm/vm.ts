// A VM of KVM.
import { OwnedFd } from '../../ffi/fd.unsafe.ts';
import type { Fd, GuestAddress } from '../../lib/brand.ts';
import type { HostMemory, IoEventAddress, MachineState, Vcpu, VirtualMachine } from '../ports.ts';
import {
  KVM_CAP_EXCEPTION_PAYLOAD,
  KVM_CAP_MAX_VCPUS,
  KVM_CAP_NR_MEMSLOTS,
  KVM_CAP_X86_TRIPLE_FAULT_EVENT,
  KVM_CREATE_IRQCHIP,
  KVM_CREATE_PIT2,
  KVM_CREATE_VM,
  KVM_ENABLE_CAP,
  KVM_IOEVENTFD,
  KVM_IOEVENTFD_FLAG_DATAMATCH,
  KVM_IOEVENTFD_FLAG_DEASSIGN,
  KVM_IOEVENTFD_FLAG_PIO,
  KVM_IRQ_LINE,
  KVM_IRQFD,
  KVM_IRQFD_FLAG_DEASSIGN,
  KVM_MEM_READONLY,
  KVM_PIT_SPEAKER_DUMMY,
  KVM_REGISTER_COALESCED_MMIO,
  KVM_SET_IDENTITY_MAP_ADDR,
  KVM_SET_TSS_ADDR,
  KVM_SET_USER_MEMORY_REGION,
  kvm_coalesced_mmio_zone,
  kvm_enable_cap,
  kvm_ioeventfd,
  kvm_irq_level,
  kvm_irqfd,
  kvm_pit_config,
  kvm_userspace_memory_region,
} from './abi.gen.ts';
import { kvmCall, structure } from './call.ts';
import { KvmError } from './error.ts';
import { type MachinePort, restoreMachineState, saveMachineState } from './machine-state.ts';
import { KvmVcpu, type VcpuOptions } from './vcpu.ts';

/**
 * Four pages below 4 GiB that Intel's processors without "unrestricted guest" need for real mode: an identity-mapping page
 * table and, behind it, a TSS (KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR). RAM and devices must not be there.
 */
export const KVM_PRIVATE_PAGES = { identityMap: 0xfeffc000, tss: 0xfeffd000, end: 0xff000000 } as const;

/** What a VM passes on to its vCPUs. */
export type VmOptions = Pick<VcpuOptions, 'host' | 'mmapSize' | 'ringPage' | 'maxSpinNs'>;

/** Numbers of vCPUs and memory slots before there were capabilities that tell them (KVM API 4.7 and 4.4). */
export const OLDEST_LIMITS = { vcpus: 4, memorySlots: 32 };

/**
 * With these, a saved vCPU's events have an exception that waits as it is, with its payload, and a triple fault that waits.
 * Without them KVM has to pretend that the exception was delivered.
 */
const EVENT_CAPABILITIES = { KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT };

function hexadecimal(value: number): string {
  return `0x${value.toString(16)}`;
}

export class KvmVm implements VirtualMachine {
  readonly #owned = new DisposableStack();
  readonly #fd: Fd;
  readonly #options: VmOptions;
  #hasInterruptControllers = false;

  /** @throws KvmError */
  constructor(kvmFd: Fd, options: VmOptions) {
    this.#options = options;
    using created = new DisposableStack();
    this.#fd = created.use(new OwnedFd(kvmCall(kvmFd, KVM_CREATE_VM, 'KVM_CREATE_VM', 'a new VM'))).fd;
    const identityMap = structure(8);
    identityMap.setBigUint64(0, BigInt(KVM_PRIVATE_PAGES.identityMap), true);
    this.#call(KVM_SET_IDENTITY_MAP_ADDR, 'KVM_SET_IDENTITY_MAP_ADDR', 'the VM', identityMap);
    this.#call(KVM_SET_TSS_ADDR, 'KVM_SET_TSS_ADDR', 'the VM', KVM_PRIVATE_PAGES.tss);
    for (const [name, number] of Object.entries(EVENT_CAPABILITIES)) this.#enable(name, number);
    this.#owned.use(created.move());
  }

  #enable(name: string, number: number): void {
    if (this.#options.host.capability(number) === 0) return;
    const request = structure(kvm_enable_cap.sizeof);
    request.setUint32(kvm_enable_cap.cap, number, true);
    request.setBigUint64(kvm_enable_cap.args, 1n, true);
    this.#call(KVM_ENABLE_CAP, 'KVM_ENABLE_CAP', name, request);
  }

  createInterruptControllers(): void {
    this.#call(KVM_CREATE_IRQCHIP, 'KVM_CREATE_IRQCHIP', 'the interrupt controllers');
    this.#hasInterruptControllers = true;
    const pit = structure(kvm_pit_config.sizeof);
    // Port 0x61, which has the gate of the PIT's counter 2, is KVM's then too: no exits while a guest calibrates with it.
    pit.setUint32(kvm_pit_config.flags, KVM_PIT_SPEAKER_DUMMY, true);
    this.#call(KVM_CREATE_PIT2, 'KVM_CREATE_PIT2', 'the interval timer', pit);
  }

  setMemorySlot(
    slot: number,
    guestAddress: GuestAddress,
    memory: Pick<HostMemory, 'bytes' | 'hostAddress'>,
    options: { readonly readOnly?: boolean } = {},
  ): void {
    this.#checkLimit('KVM_CAP_NR_MEMSLOTS', KVM_CAP_NR_MEMSLOTS, OLDEST_LIMITS.memorySlots, slot, 'memory slot');
    const flags = options.readOnly === true ? KVM_MEM_READONLY : 0;
    this.#setSlot(slot, guestAddress, memory.bytes.length, memory.hostAddress, flags);
  }

  removeMemorySlot(slot: number): void {
    this.#setSlot(slot, 0, 0, 0n, 0);
  }

  #setSlot(slot: number, guestAddress: number, size: number, hostAddress: bigint, flags: number): void {
    const region = structure(kvm_userspace_memory_region.sizeof);
    region.setUint32(kvm_userspace_memory_region.slot, slot, true);
    region.setUint32(kvm_userspace_memory_region.flags, flags, true);
    region.setBigUint64(kvm_userspace_memory_region.guest_phys_addr, BigInt(guestAddress), true);
    region.setBigUint64(kvm_userspace_memory_region.memory_size, BigInt(size), true);
    region.setBigUint64(kvm_userspace_memory_region.userspace_addr, hostAddress, true);
    const subject = `memory slot ${slot}, ${size} bytes at ${hexadecimal(guestAddress)}`;
    this.#call(KVM_SET_USER_MEMORY_REGION, 'KVM_SET_USER_MEMORY_REGION', subject, region);
  }

  createVcpu(index: number): Vcpu {
    this.#checkLimit('KVM_CAP_MAX_VCPUS', KVM_CAP_MAX_VCPUS, OLDEST_LIMITS.vcpus, index, 'vCPU');
    const hasLocalApic = this.#hasInterruptControllers;
    return this.#owned.use(new KvmVcpu({ vmFd: this.#fd, index, hasLocalApic, ...this.#options }));
  }

  /** @throws KvmError LIMIT_EXCEEDED when `index`, from 0 on, is one too many */
  #checkLimit(name: string, number: number, oldest: number, index: number, what: string): void {
    const limit = this.#options.host.capability(number) || oldest;
    if (index < limit) return;
    const message = `${what} ${index}: this host's KVM has ${limit} of them in a VM, 0 to ${limit - 1} (${name})`;
    throw new KvmError('LIMIT_EXCEEDED', message, { capability: name, limit, index });
  }

  saveState(): MachineState {
    return saveMachineState(this.#port());
  }

  restoreState(state: MachineState): void {
    restoreMachineState(this.#port(), state);
  }

  #port(): MachinePort {
    return {
      call: (request, name, argument) => void this.#call(request, name, 'the VM', argument),
      hasInterruptControllers: this.#hasInterruptControllers,
    };
  }

  connectIrqFd(eventFd: Fd, gsi: number): void {
    this.#irqFd(eventFd, gsi, 0);
  }

  disconnectIrqFd(eventFd: Fd, gsi: number): void {
    this.#irqFd(eventFd, gsi, KVM_IRQFD_FLAG_DEASSIGN);
  }

  #irqFd(eventFd: Fd, gsi: number, flags: number): void {
    const request = structure(kvm_irqfd.sizeof);
    request.setUint32(kvm_irqfd.fd, eventFd, true);
    request.setUint32(kvm_irqfd.gsi, gsi, true);
    request.setUint32(kvm_irqfd.flags, flags, true);
    this.#call(KVM_IRQFD, 'KVM_IRQFD', `interrupt line ${gsi} and eventfd ${eventFd}`, request);
  }

  connectIoEventFd(eventFd: Fd, where: IoEventAddress): void {
    this.#ioEventFd(eventFd, where, 0);
  }

  disconnectIoEventFd(eventFd: Fd, where: IoEventAddress): void {
    this.#ioEventFd(eventFd, where, KVM_IOEVENTFD_FLAG_DEASSIGN);
  }

  #ioEventFd(eventFd: Fd, { space, address, length, match }: IoEventAddress, flags: number): void {
    const request = structure(kvm_ioeventfd.sizeof);
    request.setBigUint64(kvm_ioeventfd.datamatch, match ?? 0n, true);
    request.setBigUint64(kvm_ioeventfd.addr, BigInt(address), true);
    request.setUint32(kvm_ioeventfd.len, length, true);
    request.setInt32(kvm_ioeventfd.fd, eventFd, true);
    const allFlags =
      flags | (space === 'pio' ? KVM_IOEVENTFD_FLAG_PIO : 0) | (match === undefined ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH);
    request.setUint32(kvm_ioeventfd.flags, allFlags, true);
    this.#call(KVM_IOEVENTFD, 'KVM_IOEVENTFD', `a doorbell at ${space} ${hexadecimal(address)}`, request);
  }

  coalesceMmio(address: number, length: number): void {
    if (this.#options.ringPage === 0)
      throw new KvmError('CAPABILITY_MISSING', 'this KVM does not collect MMIO writes (KVM_CAP_COALESCED_MMIO)');
    const zone = structure(kvm_coalesced_mmio_zone.sizeof);
    zone.setBigUint64(kvm_coalesced_mmio_zone.addr, BigInt(address), true);
    zone.setUint32(kvm_coalesced_mmio_zone.size, length, true);
    const subject = `${length} bytes at ${hexadecimal(address)}`;
    this.#call(KVM_REGISTER_COALESCED_MMIO, 'KVM_REGISTER_COALESCED_MMIO', subject, zone);
  }

  setInterruptLine(gsi: number, level: boolean): void {
    const line = structure(kvm_irq_level.sizeof);
    line.setUint32(kvm_irq_level.irq, gsi, true);
    line.setUint32(kvm_irq_level.level, level ? 1 : 0, true);
    this.#call(KVM_IRQ_LINE, 'KVM_IRQ_LINE', `interrupt line ${gsi}`, line);
  }

  #call(request: number, name: string, subject: string, argument: number | DataView = 0): number {
    return kvmCall(this.#fd, request, name, subject, argument);
  }

  /** Ends the threads of all vCPUs, then the VM. */
  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
