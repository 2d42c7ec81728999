// A vCPU of KVM: its registers by ioctl, its thread in libtskata, its exits on the JavaScript thread.
import { constants } from 'node:os';
import { watchFd } from '../../ffi/event-loop.unsafe.ts';
import { EventFd } from '../../ffi/eventfd.unsafe.ts';
import { OwnedFd } from '../../ffi/fd.unsafe.ts';
import { type Mapping, mapShared } from '../../ffi/memory.unsafe.ts';
import { errnoName } from '../../ffi/system-error.ts';
import { VcpuThread } from '../../ffi/vcpu-thread.unsafe.ts';
import type { Fd, GuestAddress } from '../../lib/brand.ts';
import { alignUp, PAGE_SIZE } from '../../lib/units.ts';
import type { CpuidEntry, Registers, SpecialRegisters, Vcpu, VcpuHandlers, VcpuState, VmExit } from '../ports.ts';
import {
  KVM_CAP_PRE_FAULT_MEMORY,
  KVM_CREATE_VCPU,
  KVM_GET_LAPIC,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_KVMCLOCK_CTRL,
  KVM_PRE_FAULT_MEMORY,
  KVM_SET_CPUID2,
  KVM_SET_LAPIC,
  KVM_SET_MSRS,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  kvm_lapic_state,
  kvm_pre_fault_memory,
  kvm_regs,
  kvm_sregs,
} from './abi.gen.ts';
import { kvmCall, structure } from './call.ts';
import { CoalescedRing } from './coalesced-ring.ts';
import { KvmError } from './error.ts';
import { decodeExit, exitReasonName } from './exit.ts';
import {
  decodeRegisters,
  decodeSpecialRegisters,
  encodeCpuid,
  encodeMsrs,
  encodeRegisters,
  encodeSpecialRegisters,
} from './registers.ts';
import { restoreVcpuState, saveVcpuState, type VcpuPort } from './vcpu-state.ts';

/** Exits at which an instruction is done, so that the registers are all there is. */
const AT_REST: readonly VmExit['kind'][] = ['interrupted', 'hlt', 'shutdown'];

/** Exits of a vCPU are answered one after the other for at most so long before other events of the loop have their turn. */
const BURST_MS = 1;

/** The KVM that a vCPU belongs to. */
export interface KvmHost {
  readonly hasTscDeadlineTimer: boolean;
  capability(number: number): number;
  supportedCpuid(): readonly CpuidEntry[];
  msrIndices(): readonly number[];
}

/** What a vCPU needs to know of its VM. */
export interface VcpuOptions {
  readonly vmFd: Fd;
  readonly index: number;
  readonly host: KvmHost;
  /** Whether the VM has interrupt controllers in the kernel. */
  readonly hasLocalApic: boolean;
  /** Bytes of the vCPU's shared area (KVM_GET_VCPU_MMAP_SIZE). */
  readonly mmapSize: number;
  /** Page of that area that holds the coalesced MMIO ring (KVM_CAP_COALESCED_MMIO), 0 when there is none. */
  readonly ringPage: number;
  /** How long the vCPU's thread and this one may spin for each other, nanoseconds. */
  readonly maxSpinNs: number;
}

/** What runs while the vCPU has a thread. */
interface Running {
  readonly thread: VcpuThread;
  readonly handlers: VcpuHandlers;
}

export class KvmVcpu implements Vcpu {
  readonly index: number;
  readonly #owned = new DisposableStack();
  readonly #fd: Fd;
  readonly #mapping: Mapping;
  readonly #run: DataView;
  readonly #ring: CoalescedRing | undefined;
  readonly #maxSpinNs: number;
  readonly #port: VcpuPort;
  #cpuid: readonly CpuidEntry[] = [];
  #running: Running | undefined;
  #paused = false;
  #lastExit: VmExit['kind'] | undefined;

  /** @throws KvmError, SystemError */
  constructor({ vmFd, index, host, hasLocalApic, mmapSize, ringPage, maxSpinNs }: VcpuOptions) {
    this.index = index;
    this.#maxSpinNs = maxSpinNs;
    this.#port = {
      index,
      hasLocalApic,
      call: (request, name, argument) => this.#set(request, name, argument),
      capability: (number) => host.capability(number),
      cpuid: () => this.#cpuid,
      msrIndices: () => host.msrIndices(),
      hostCpu: () => ({ supported: host.supportedCpuid(), hasTscDeadlineTimer: host.hasTscDeadlineTimer }),
    };
    using created = new DisposableStack();
    const owned = new OwnedFd(kvmCall(vmFd, KVM_CREATE_VCPU, 'KVM_CREATE_VCPU', `vCPU ${index}`, index));
    this.#fd = created.use(owned).fd;
    this.#mapping = created.use(mapShared(this.#fd, mmapSize, `vCPU ${index}`));
    const { bytes } = this.#mapping;
    this.#run = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (ringPage !== 0)
      this.#ring = new CoalescedRing(bytes.subarray(ringPage * PAGE_SIZE, (ringPage + 1) * PAGE_SIZE));
    this.#owned.use(created.move());
  }

  setCpuid(entries: readonly CpuidEntry[]): void {
    this.#set(KVM_SET_CPUID2, 'KVM_SET_CPUID2', encodeCpuid(entries));
    this.#cpuid = entries;
  }

  getRegisters(): Registers {
    return decodeRegisters(this.#get(KVM_GET_REGS, 'KVM_GET_REGS', kvm_regs.sizeof));
  }

  setRegisters(registers: Registers): void {
    this.#set(KVM_SET_REGS, 'KVM_SET_REGS', encodeRegisters(registers));
  }

  getSpecialRegisters(): SpecialRegisters {
    return decodeSpecialRegisters(this.#get(KVM_GET_SREGS, 'KVM_GET_SREGS', kvm_sregs.sizeof));
  }

  setSpecialRegisters(registers: SpecialRegisters): void {
    this.#set(KVM_SET_SREGS, 'KVM_SET_SREGS', encodeSpecialRegisters(registers));
  }

  setMsrs(entries: readonly { readonly index: number; readonly value: bigint }[]): void {
    const done = this.#set(KVM_SET_MSRS, 'KVM_SET_MSRS', encodeMsrs(entries));
    const refused = entries[done];
    if (refused === undefined) return;
    const index = `0x${refused.index.toString(16)}`;
    throw new KvmError('CALL_FAILED', `KVM_SET_MSRS refused MSR ${index} of vCPU ${this.index}`, {
      ioctl: 'KVM_SET_MSRS',
      msr: index,
    });
  }

  editLocalApic(edit: (registers: DataView) => void): void {
    const registers = this.#get(KVM_GET_LAPIC, 'KVM_GET_LAPIC', kvm_lapic_state.sizeof);
    edit(registers);
    this.#set(KVM_SET_LAPIC, 'KVM_SET_LAPIC', registers);
  }

  saveState(): VcpuState {
    if (this.#lastExit !== undefined && !AT_REST.includes(this.#lastExit))
      throw this.#busy(
        `is stopped at ${this.#lastExit}, in the middle of an instruction: kick it, resume it, and wait for interrupted`,
      );
    return saveVcpuState(this.#port);
  }

  restoreState(state: VcpuState): void {
    if (this.#running !== undefined) throw this.#busy('is started already');
    this.#cpuid = restoreVcpuState(this.#port, state);
  }

  notifyClockPaused(): void {
    try {
      this.#set(KVM_KVMCLOCK_CTRL, 'KVM_KVMCLOCK_CTRL', 0);
    } catch (error) {
      // EINVAL: the guest has not switched kvm-clock on.
      if (!(error instanceof KvmError) || error.details['errno'] !== constants.errno.EINVAL) throw error;
    }
  }

  prefault(address: GuestAddress, length: number): void {
    if (this.#port.capability(KVM_CAP_PRE_FAULT_MEMORY) === 0) return;
    const range = structure(kvm_pre_fault_memory.sizeof);
    const start = address - (address % PAGE_SIZE);
    range.setBigUint64(kvm_pre_fault_memory.gpa, BigInt(start), true);
    range.setBigUint64(kvm_pre_fault_memory.size, BigInt(alignUp(address + length, PAGE_SIZE) - start), true);
    try {
      // A signal ends it early; it leaves what is still to be done.
      while (range.getBigUint64(kvm_pre_fault_memory.size, true) > 0n)
        this.#set(KVM_PRE_FAULT_MEMORY, 'KVM_PRE_FAULT_MEMORY', range);
    } catch (error) {
      // What cannot be mapped now is mapped when it is touched.
      if (!(error instanceof KvmError) || error.code !== 'CALL_FAILED') throw error;
    }
  }

  start(handlers: VcpuHandlers): void {
    if (this.#running !== undefined) throw this.#busy('is started already');
    using resources = new DisposableStack();
    const event = resources.use(new EventFd());
    const thread = new VcpuThread({
      vcpuFd: this.#fd,
      run: this.#mapping.address,
      eventFd: event.fd,
      index: this.index,
      maxSpinNs: this.#maxSpinNs,
    });
    const running = { thread, handlers };
    resources.use(thread);
    resources.use(
      watchFd(event.fd, () => {
        event.drain();
        this.#serve(running);
      }),
    );
    this.#running = running;
    this.#owned.use(resources.move());
  }

  resume(): void {
    if (this.#running === undefined || !this.#paused) throw this.#busy('is not stopped');
    this.#paused = false;
    this.#running.thread.continue(false);
  }

  kick(): void {
    this.#running?.thread.kick();
  }

  get exitCounts(): ReadonlyMap<string, number> {
    const counts = this.#running?.thread.exitCounts() ?? [];
    return new Map(
      counts.flatMap((count, reason) => (count === 0n ? [] : [[exitReasonName(reason), Number(count)] as const])),
    );
  }

  /** Answers exits until the vCPU needs no answer for now, stops, or has had its turn. */
  #serve({ thread, handlers }: Running): void {
    const end = performance.now() + BURST_MS;
    while (thread.hasExit && !this.#paused) {
      try {
        if (!this.#handle(thread, handlers)) {
          this.#paused = true;
          return;
        }
      } catch (error) {
        this.#paused = true;
        handlers.onFailure(error);
        return;
      }
      if (!thread.continue(performance.now() < end)) return;
    }
  }

  /** @returns whether the vCPU goes on; a handler may have disposed it */
  #handle(thread: VcpuThread, handlers: VcpuHandlers): boolean {
    let goOn = true;
    for (let write = this.#ring?.next(); write !== undefined; write = this.#ring?.next()) {
      this.#lastExit = write.kind;
      goOn = handlers.onExit(write) && goOn;
      if (!thread.hasExit) return false;
    }
    const exit = this.#exit(thread.runErrno);
    this.#lastExit = exit.kind;
    return handlers.onExit(exit) && goOn;
  }

  #exit(errno: number): VmExit {
    if (errno === 0) return decodeExit(this.#run, this.#mapping.bytes);
    const name = errnoName(errno);
    if (name === 'EINTR') return { kind: 'interrupted' };
    throw new KvmError('CALL_FAILED', `KVM_RUN failed with ${name} for vCPU ${this.index}`, {
      ioctl: 'KVM_RUN',
      errno,
      vcpu: this.index,
    });
  }

  #get(request: number, name: string, size: number): DataView {
    const view = structure(size);
    this.#set(request, name, view);
    return view;
  }

  #set(request: number, name: string, argument: number | DataView): number {
    // The ioctl would take the vCPU's lock, which KVM_RUN holds: this thread would hang until the guest happens to exit.
    if (this.#running !== undefined && !this.#running.thread.hasExit)
      throw this.#busy(`is running: ${name} would hang`);
    return kvmCall(this.#fd, request, name, `vCPU ${this.index}`, argument);
  }

  #busy(what: string): KvmError {
    return new KvmError('VCPU_BUSY', `vCPU ${this.index} ${what}`, { vcpu: this.index });
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
