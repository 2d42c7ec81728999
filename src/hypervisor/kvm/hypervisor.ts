// /dev/kvm itself: opened, its version and capabilities checked.
import { constants, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { OwnedFd } from '../../ffi/fd.unsafe.ts';
import type { Fd } from '../../lib/brand.ts';
import { messageOf } from '../../lib/errors.ts';
import type { CpuidEntry, HostMemory, Hypervisor, MemoryOptions, VirtualMachine } from '../ports.ts';
import {
  KVM_API_VERSION,
  KVM_CAP_COALESCED_MMIO,
  KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
  KVM_CAP_EXT_CPUID,
  KVM_CAP_IMMEDIATE_EXIT,
  KVM_CAP_IOEVENTFD,
  KVM_CAP_IRQCHIP,
  KVM_CAP_IRQFD,
  KVM_CAP_NR_MEMSLOTS,
  KVM_CAP_PIT2,
  KVM_CAP_READONLY_MEM,
  KVM_CAP_SET_IDENTITY_MAP_ADDR,
  KVM_CAP_SET_TSS_ADDR,
  KVM_CAP_TSC_DEADLINE_TIMER,
  KVM_CAP_USER_MEMORY,
  KVM_CHECK_EXTENSION,
  KVM_GET_API_VERSION,
  KVM_GET_MSR_INDEX_LIST,
  KVM_GET_SUPPORTED_CPUID,
  KVM_GET_VCPU_MMAP_SIZE,
  kvm_msr_list,
} from './abi.gen.ts';
import { kvmCall, structure } from './call.ts';
import { KvmError } from './error.ts';
import { mapFileMemory } from './file-memory.ts';
import { allocateHostMemory } from './host-memory.ts';
import { cpuidRoom, decodeCpuid } from './registers.ts';
import { KvmVm, OLDEST_LIMITS } from './vm.ts';

/** Without these, no guest of ours runs: all of them are in every Linux since 4.11. */
const REQUIRED_CAPABILITIES = {
  KVM_CAP_IRQCHIP,
  KVM_CAP_PIT2,
  KVM_CAP_USER_MEMORY,
  KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
  KVM_CAP_SET_TSS_ADDR,
  KVM_CAP_SET_IDENTITY_MAP_ADDR,
  KVM_CAP_EXT_CPUID,
  KVM_CAP_IRQFD,
  KVM_CAP_IOEVENTFD,
  KVM_CAP_IMMEDIATE_EXIT,
};

/** More CPUID leaves than any processor has. */
const CPUID_ROOM = 256;
/** More registers than KVM has. */
const MSR_ROOM = 2048;

/** The longest spin of either side of a hand-over: see "Measurements" in native/README.md. */
const DEFAULT_MAX_SPIN_NS = 10_000;

export interface KvmOptions {
  /** @default /dev/kvm */
  readonly path?: string;
  /** How long a vCPU's thread and the JavaScript thread may spin for each other before they sleep, nanoseconds. */
  readonly maxSpinNs?: number;
}

function openDevice(path: string): OwnedFd {
  try {
    return new OwnedFd(openSync(path, constants.O_RDWR));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EACCES' || code === 'EPERM') {
      // EPERM is the answer of device rules: Linux kernel/cgroup, BPF_PROG_TYPE_CGROUP_DEVICE.
      const advice =
        code === 'EACCES'
          ? `Run as root, or join the group that owns it (\`ls -l ${path}\`)`
          : 'Have the control group that this runs in, and those around it, allow the device (c 10:232 rwm)';
      const message = `cannot open ${path}: no permission. ${advice}`;
      throw new KvmError('NO_PERMISSION', message, { path, errno: code }, { cause });
    }
    const advice =
      'load kvm_intel or kvm_amd, switch virtualisation on in the firmware, or ask for nested virtualisation';
    throw new KvmError(
      'NO_KVM',
      `cannot open ${path}: ${messageOf(cause)}. To have it: ${advice}`,
      { path, errno: code },
      { cause },
    );
  }
}

export class KvmHypervisor implements Hypervisor {
  readonly hasReadonlyMemory: boolean;
  readonly hasCoalescedMmio: boolean;
  readonly hasTscDeadlineTimer: boolean;
  readonly memorySlotCount: number;
  readonly #owned: OwnedFd;
  readonly #fd: Fd;
  readonly #mmapSize: number;
  readonly #ringPage: number;
  readonly #maxSpinNs: number;
  #cpuid: CpuidEntry[] | undefined;
  #msrIndices: readonly number[] | undefined;

  private constructor(owned: OwnedFd, maxSpinNs: number) {
    this.#owned = owned;
    this.#fd = owned.fd;
    this.#maxSpinNs = maxSpinNs;
    this.#mmapSize = kvmCall(this.#fd, KVM_GET_VCPU_MMAP_SIZE, 'KVM_GET_VCPU_MMAP_SIZE', '/dev/kvm');
    // The capability's value is the page at which each vCPU maps the ring.
    this.#ringPage = this.capability(KVM_CAP_COALESCED_MMIO);
    this.hasCoalescedMmio = this.#ringPage !== 0;
    this.hasTscDeadlineTimer = this.capability(KVM_CAP_TSC_DEADLINE_TIMER) !== 0;
    this.memorySlotCount = this.capability(KVM_CAP_NR_MEMSLOTS) || OLDEST_LIMITS.memorySlots;
    this.hasReadonlyMemory = this.capability(KVM_CAP_READONLY_MEM) !== 0;
  }

  /**
   * Opens /dev/kvm and checks that it is what this VMM needs.
   * @throws KvmError NO_KVM, NO_PERMISSION, API_VERSION, or CAPABILITY_MISSING with the names of all that are missing
   */
  static open({ path = '/dev/kvm', maxSpinNs = DEFAULT_MAX_SPIN_NS }: KvmOptions = {}): KvmHypervisor {
    const owned = openDevice(path);
    try {
      const version = kvmCall(owned.fd, KVM_GET_API_VERSION, 'KVM_GET_API_VERSION', path);
      if (version !== KVM_API_VERSION) {
        const message = `${path} speaks version ${version} of the KVM API, this program version ${KVM_API_VERSION}`;
        throw new KvmError('API_VERSION', message, { path, version });
      }
      // A spin on the only processor keeps away whom it waits for.
      const hypervisor = new KvmHypervisor(owned, availableParallelism() > 1 ? maxSpinNs : 0);
      const missing = Object.entries(REQUIRED_CAPABILITIES)
        .filter(([, number]) => hypervisor.capability(number) === 0)
        .map(([name]) => name);
      if (missing.length > 0) {
        const message = `${path} lacks ${missing.join(', ')}: a newer host kernel (4.11 or later) has them`;
        throw new KvmError('CAPABILITY_MISSING', message, { path, missing: missing.join(' ') });
      }
      return hypervisor;
    } catch (error) {
      owned[Symbol.dispose]();
      throw error;
    }
  }

  /** The value of KVM_CHECK_EXTENSION for a KVM_CAP_*: 0 when this KVM does not have it. */
  capability(number: number): number {
    return kvmCall(this.#fd, KVM_CHECK_EXTENSION, 'KVM_CHECK_EXTENSION', `capability ${number}`, number);
  }

  supportedCpuid(): CpuidEntry[] {
    this.#cpuid ??= this.#readCpuid();
    return this.#cpuid;
  }

  #readCpuid(): CpuidEntry[] {
    const room = cpuidRoom(CPUID_ROOM);
    kvmCall(this.#fd, KVM_GET_SUPPORTED_CPUID, 'KVM_GET_SUPPORTED_CPUID', `${CPUID_ROOM} leaves`, room);
    return decodeCpuid(room);
  }

  /** Registers that KVM has for guests (KVM_GET_MSR_INDEX_LIST); not all of them for each guest. */
  msrIndices(): readonly number[] {
    this.#msrIndices ??= this.#readMsrIndices();
    return this.#msrIndices;
  }

  #readMsrIndices(): number[] {
    const list = structure(kvm_msr_list.indices + 4 * MSR_ROOM);
    list.setUint32(kvm_msr_list.nmsrs, MSR_ROOM, true);
    kvmCall(this.#fd, KVM_GET_MSR_INDEX_LIST, 'KVM_GET_MSR_INDEX_LIST', `${MSR_ROOM} registers`, list);
    return Array.from({ length: list.getUint32(kvm_msr_list.nmsrs, true) }, (_, position) =>
      list.getUint32(kvm_msr_list.indices + 4 * position, true),
    );
  }

  createVm(): VirtualMachine {
    return new KvmVm(this.#fd, {
      host: this,
      mmapSize: this.#mmapSize,
      ringPage: this.#ringPage,
      maxSpinNs: this.#maxSpinNs,
    });
  }

  allocateMemory(size: number, options: MemoryOptions): HostMemory {
    return allocateHostMemory(size, options);
  }

  mapFileMemory(fd: Fd, fileOffset: number, size: number, name: string): HostMemory {
    return mapFileMemory(fd, fileOffset, size, name);
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
