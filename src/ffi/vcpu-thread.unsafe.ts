// libtskata's vCPU threads, and the memory they share with TypeScript (native/host/vcpu.h).
import type { Fd } from '../lib/brand.ts';
import { lastErrno, nativeFunction, revokeView, viewMemory } from './koffi.unsafe.ts';
import { TSKATA_EXIT_SLOTS, TSKATA_VCPU_RUNNING, tskata_vcpu } from './native.gen.ts';
import { SystemError } from './system-error.ts';

const start = nativeFunction<[number, bigint, number, number, number], number | bigint | null>(
  'uintptr_t tskata_vcpu_start(int vcpu_fd, void *run, int event_fd, uint index, uint32_t max_spin_ns)',
);
const goOn = nativeFunction<[bigint, number], number>('int tskata_vcpu_continue(uintptr_t vcpu, int listen)');
const kick = nativeFunction<[bigint], void>('void tskata_vcpu_kick(uintptr_t vcpu)');
const stop = nativeFunction<[bigint], void>('void tskata_vcpu_stop(uintptr_t vcpu)');

/** What a vCPU's thread runs on. All of it must outlive the thread. */
export interface VcpuThreadOptions {
  readonly vcpuFd: Fd;
  /** Address of the vCPU's struct kvm_run. */
  readonly run: bigint;
  /** Signalled when an exit waits. */
  readonly eventFd: Fd;
  readonly index: number;
  /** How long either side may spin for the other before it sleeps, nanoseconds. */
  readonly maxSpinNs: number;
}

/** A thread that runs a vCPU. Disposing it ends and joins the thread, in whatever state it is. */
export class VcpuThread implements Disposable {
  readonly #pointer: bigint;
  readonly #shared: DataView;
  #stopped = false;
  #exits: readonly bigint[] = [];

  /** @throws SystemError when there is no memory or no thread to be had */
  constructor(options: VcpuThreadOptions) {
    const { vcpuFd, run, eventFd, index, maxSpinNs } = options;
    const pointer = BigInt(start(vcpuFd, run, eventFd, index, maxSpinNs) ?? 0);
    if (pointer === 0n) throw new SystemError('pthread_create', lastErrno(), `the thread of vCPU ${index}`);
    this.#pointer = pointer;
    const bytes = viewMemory(pointer, tskata_vcpu.sizeof);
    this.#shared = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Whether the vCPU left the guest and waits for `continue`. */
  get hasExit(): boolean {
    return !this.#stopped && this.#shared.getUint32(tskata_vcpu.state, true) !== TSKATA_VCPU_RUNNING;
  }

  /** How the KVM_RUN ended that is handed over: 0 with an exit in kvm_run, EINTR after a kick, else what failed. */
  get runErrno(): number {
    return this.#shared.getInt32(tskata_vcpu.run_errno, true);
  }

  /** Exits so far by KVM_EXIT_*; the last slot holds those of all higher reasons. */
  exitCounts(): readonly bigint[] {
    return this.#stopped ? this.#exits : this.#readExits();
  }

  #readExits(): readonly bigint[] {
    return Array.from({ length: TSKATA_EXIT_SLOTS }, (_, reason) =>
      this.#shared.getBigUint64(tskata_vcpu.exits + 8 * reason, true),
    );
  }

  /**
   * Lets the vCPU go on after an exit.
   * @param listen whether to spin for its next exit
   * @returns whether the next exit is there already; it has not signalled the eventfd then
   */
  continue(listen: boolean): boolean {
    return !this.#stopped && goOn(this.#pointer, listen ? 1 : 0) === 1;
  }

  /** Makes the vCPU leave the guest soon, with `runErrno` EINTR. */
  kick(): void {
    if (!this.#stopped) kick(this.#pointer);
  }

  [Symbol.dispose](): void {
    if (this.#stopped) return;
    this.#exits = this.#readExits();
    this.#stopped = true;
    revokeView(new Uint8Array(this.#shared.buffer));
    stop(this.#pointer);
  }
}
