// What the VMM needs of a hypervisor. src/hypervisor/kvm implements these ports over /dev/kvm; tests implement them in memory.
import type { Fd, GuestAddress } from '../lib/brand.ts';

/** A page-aligned piece of host memory that a guest can see. */
export interface HostMemory extends Disposable {
  /** Bytes. */
  readonly size: number;
  /** The bytes themselves: a view of the mapping, made when it is first asked for. */
  readonly bytes: Uint8Array;
  /** Where the mapping starts in this process. */
  readonly hostAddress: bigint;
  /** The memfd behind a shared mapping, for vhost-user back ends; absent for private memory. */
  readonly fd?: Fd;
  /** Offset of the first byte in that memfd. */
  readonly fdOffset: number;
  /** Gives the pages of a range (page-aligned, bytes) back to the host; they read as zeros when touched again. */
  discard(offset: number, length: number): void;
  /**
   * Takes a range (bytes, multiples of 2 MiB) in huge pages now, as far as the host can: for memory that will be used all of it.
   * The guest reaches it then with one fault, and not 512, for each 2 MiB.
   */
  collapse(offset: number, length: number): void;
}

export interface MemoryOptions {
  /** A memfd, which back ends in other processes can map; else private to this process. */
  readonly shared: boolean;
  /** Of the memfd, seen in /proc/PID/maps. */
  readonly name: string;
  /**
   * '2M', '1G': pages of the kernel's pool, reserved at once; the size must be a multiple of theirs. 'transparent': the
   * kernel is asked to use huge pages where it has them; by default it is not, since the first byte that a guest touches in
   * each 2 MiB then costs 2 MiB of host memory.
   */
  readonly hugePages?: '2M' | '1G' | 'transparent';
  /** Takes all of the memory now: no page fault later, and no surprise when there is too little. @default false */
  readonly prefault?: boolean;
}

export interface Hypervisor extends Disposable {
  /** CPUID leaves that hardware and hypervisor support together. */
  supportedCpuid(): CpuidEntry[];
  /** An empty VM: no memory, no vCPU, no interrupt controllers. */
  createVm(): VirtualMachine;
  /** Allocates guest RAM: zeroed, and not reserved unless it is of huge pages. */
  allocateMemory(size: number, options: MemoryOptions): HostMemory;
  /**
   * Guest RAM whose contents are a part of a file, which stays as it is: pages are shared with everyone who has the file
   * mapped until the guest writes to them. The file must not be changed or cut off while the memory is in use. `fd` may be
   * closed afterwards.
   * @param fileOffset bytes, on a page boundary
   */
  mapFileMemory(fd: Fd, fileOffset: number, size: number, name: string): HostMemory;
  /** Whether reads of a page can be served from memory while its writes exit (KVM_CAP_READONLY_MEM). */
  readonly hasReadonlyMemory: boolean;
  /** Whether writes to a range can be collected without an exit (KVM_CAP_COALESCED_MMIO). */
  readonly hasCoalescedMmio: boolean;
  /** How many memory slots a VM can have (KVM_CAP_NR_MEMSLOTS). */
  readonly memorySlotCount: number;
  /** Whether local APIC timers can be set by TSC value (KVM_CAP_TSC_DEADLINE_TIMER); KVM's CPUID does not show it. */
  readonly hasTscDeadlineTimer: boolean;
}

/** One leaf of CPUID as KVM_SET_CPUID2 takes it (struct kvm_cpuid_entry2). */
export interface CpuidEntry {
  readonly function: number;
  readonly index: number;
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/**
 * The kernel's structures by the name of the ioctl that reads them (KVM_GET_REGS ...; KVM_SET_CPUID2, which is as it was
 * set), with the bytes as they were in memory.
 */
export type KernelStructures = Readonly<Record<string, Uint8Array>>;

/** A vCPU at rest: plain data, to be kept in a file. */
export interface VcpuState {
  readonly version: 1;
  readonly index: number;
  /** Frequency of the guest's time stamp counter, kHz; absent where the hypervisor does not tell. */
  readonly tscKhz?: number;
  readonly structures: KernelStructures;
}

/** What a VM has beside its vCPUs, memory and devices: interrupt controllers, interval timer, clock. */
export interface MachineState {
  readonly version: 1;
  readonly structures: KernelStructures;
}

/** Where a doorbell is: a write of `length` bytes there (of `match`, if given) signals an eventfd and causes no exit. */
export interface IoEventAddress {
  readonly space: 'mmio' | 'pio';
  readonly address: number;
  readonly length: 0 | 1 | 2 | 4 | 8;
  readonly match?: bigint;
}

export interface VirtualMachine extends Disposable {
  /** In-kernel LAPIC, IOAPIC, PIC and PIT. Call before the first createVcpu. */
  createInterruptControllers(): void;
  /** Makes host memory visible to the guest in a slot. With `readOnly` the guest's writes exit as MMIO. */
  setMemorySlot(
    slot: number,
    guestAddress: GuestAddress,
    memory: Pick<HostMemory, 'bytes' | 'hostAddress'>,
    options?: { readonly readOnly?: boolean },
  ): void;
  removeMemorySlot(slot: number): void;
  createVcpu(index: number): Vcpu;
  /** Connects an eventfd to an interrupt line: each signal is one edge on global system interrupt `gsi`. */
  connectIrqFd(eventFd: Fd, gsi: number): void;
  disconnectIrqFd(eventFd: Fd, gsi: number): void;
  connectIoEventFd(eventFd: Fd, where: IoEventAddress): void;
  disconnectIoEventFd(eventFd: Fd, where: IoEventAddress): void;
  /** Writes to this MMIO range no longer exit; they arrive as exits, in order, before the vCPU's next exit is handed over. */
  coalesceMmio(address: number, length: number): void;
  setInterruptLine(gsi: number, level: boolean): void;
  /** Reads interrupt controllers, interval timer and clock. All vCPUs must be stopped. */
  saveState(): MachineState;
  /**
   * Gives a new VM the state of another one, in which the guest's clock goes on where it stopped. After the vCPUs' states:
   * the interrupts that wait in the IOAPIC are delivered to local APICs by this, and the clock counts from the vCPUs' time
   * stamp counters. Lines that a device holds (setInterruptLine) are to be set again by the device.
   * @throws an error that names the structure and the reason when the state is damaged or this host cannot take it
   */
  restoreState(state: MachineState): void;
}

/** struct kvm_regs */
export type Registers = Record<
  | 'rax'
  | 'rbx'
  | 'rcx'
  | 'rdx'
  | 'rsi'
  | 'rdi'
  | 'rsp'
  | 'rbp'
  | 'r8'
  | 'r9'
  | 'r10'
  | 'r11'
  | 'r12'
  | 'r13'
  | 'r14'
  | 'r15'
  | 'rip'
  | 'rflags',
  bigint
>;

/** struct kvm_segment */
export interface Segment {
  readonly base: bigint;
  readonly limit: number;
  readonly selector: number;
  readonly type: number;
  readonly present: number;
  readonly dpl: number;
  readonly db: number;
  readonly s: number;
  readonly l: number;
  readonly g: number;
  readonly avl: number;
}

/** struct kvm_sregs, without the interrupt bitmap. */
export interface SpecialRegisters {
  readonly cs: Segment;
  readonly ds: Segment;
  readonly es: Segment;
  readonly fs: Segment;
  readonly gs: Segment;
  readonly ss: Segment;
  readonly tr: Segment;
  readonly ldt: Segment;
  readonly gdt: { readonly base: bigint; readonly limit: number };
  readonly idt: { readonly base: bigint; readonly limit: number };
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly cr8: bigint;
  readonly efer: bigint;
  readonly apicBase: bigint;
}

/**
 * Why a vCPU came back. `data` of a read is to be filled in place before the vCPU goes on; string I/O (`rep outs`) comes as
 * `data` of `size` times the count of elements.
 */
export type VmExit =
  | { readonly kind: 'pio-read'; readonly port: number; readonly size: 1 | 2 | 4; readonly data: Uint8Array }
  | { readonly kind: 'pio-write'; readonly port: number; readonly size: 1 | 2 | 4; readonly data: Uint8Array }
  | { readonly kind: 'mmio-read'; readonly address: number; readonly data: Uint8Array }
  | { readonly kind: 'mmio-write'; readonly address: number; readonly data: Uint8Array }
  | { readonly kind: 'hlt' }
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'system-event'; readonly type: number; readonly name: string }
  | { readonly kind: 'fail-entry'; readonly hardwareReason: bigint; readonly cpu: number }
  | {
      readonly kind: 'internal-error';
      readonly suberror: number;
      /** Of the suberror in linux/kvm.h. */
      readonly name: string;
      readonly data: readonly bigint[];
      /** What the processor fetched at the instruction pointer, where KVM tells: the instruction it could not emulate. */
      readonly instructionBytes?: Uint8Array;
    }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'unsupported'; readonly reason: number; readonly name: string };

/** Who decides what happens at a vCPU's exits; called on the JavaScript thread. */
export interface VcpuHandlers {
  /**
   * Called for every exit; the vCPU goes on when it returns true and stays stopped, until `resume`, when it returns false.
   * The instruction of a port or MMIO access completes only when the vCPU goes on: for registers that can be saved, stop at
   * `interrupted`.
   */
  readonly onExit: (exit: VmExit) => boolean;
  /** An exception of `onExit`, or KVM_RUN failed: the vCPU stays stopped. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * A virtual processor. Its state can be read and set before `start` and while it is stopped or within `onExit`; at other times
 * these methods throw, since they would wait until the guest happens to exit.
 */
export interface Vcpu extends Disposable {
  readonly index: number;
  setCpuid(entries: readonly CpuidEntry[]): void;
  getRegisters(): Registers;
  setRegisters(registers: Registers): void;
  getSpecialRegisters(): SpecialRegisters;
  setSpecialRegisters(registers: SpecialRegisters): void;
  setMsrs(entries: readonly { readonly index: number; readonly value: bigint }[]): void;
  /** The local APIC's register page (struct kvm_lapic_state, 1 KiB), read, changed by `edit`, written back. */
  editLocalApic(edit: (registers: DataView) => void): void;
  /**
   * Has the hypervisor map these bytes of RAM for the guest now, where it can (KVM_CAP_PRE_FAULT_MEMORY, Linux 6.11), instead of
   * page by page, with an exit for each, when the guest touches them. For memory that is filled already, and that it will touch.
   */
  prefault(address: GuestAddress, length: number): void;
  /** Starts the vCPU's thread. Once only. */
  start(handlers: VcpuHandlers): void;
  /** Lets a vCPU go on whose `onExit` returned false. */
  resume(): void;
  /**
   * Reads all of the vCPU's state. It must have been stopped at `interrupted` (or `hlt`, `shutdown`), or never been started;
   * at any other exit its instruction is half done, and it throws.
   */
  saveState(): VcpuState;
  /**
   * Gives a new vCPU, which was not started, the state of another one, CPUID included: nothing else is to be set before
   * `start`. The vCPUs of a VM in the order of their indexes, all before the machine's state.
   * @throws an error that names the structure and the reason when the state is damaged or this host cannot take it
   */
  restoreState(state: VcpuState): void;
  /**
   * Tells a guest with kvm-clock that time has passed in which it did not run, so that its watchdogs do not bark. After a
   * pause or a restore, before the vCPU goes on; does nothing for a guest without that clock.
   */
  notifyClockPaused(): void;
  /** Makes the vCPU leave the guest soon; it then reports the exit `interrupted`. */
  kick(): void;
  /** Exits to userspace by KVM_EXIT_* name, since the start. */
  readonly exitCounts: ReadonlyMap<string, number>;
}
