// A guest of a few instructions, in real mode or in long mode, without firmware or kernel: for the probe and for tests.
import { guestAddress } from '../../lib/brand.ts';
import { GIB } from '../../lib/units.ts';
import type { HostMemory, Hypervisor, Segment, SpecialRegisters, Vcpu, VirtualMachine, VmExit } from '../ports.ts';

/** Where things are in a bare guest's memory. In long mode RAM and the device's 2 MiB are mapped one to one. */
export const BARE_LAYOUT = {
  gdt: 0x1000,
  tss: 0x1100,
  idt: 0x1800,
  pml4: 0x3000,
  pdpt: 0x4000,
  /** Of the first and of the fourth GiB. */
  pageDirectories: [0x5000, 0x6000],
  code: 0x1_0000,
  /** The stack grows down from here. */
  stack: 0x2_0000,
  data: 0x2_0000,
  memorySize: 0x20_0000,
  /** No memory is here: accesses exit. */
  device: 0xd000_0000,
} as const;

/** Selectors of the bare guest's GDT in long mode; the order is what SYSCALL and SYSRET ask for. */
export const BARE_SELECTORS = {
  kernelCode: 0x08,
  kernelData: 0x10,
  /** What SYSRET counts from: data at +8, 64-bit code at +16. */
  userBase: 0x18,
  userData: 0x20,
  userCode: 0x28,
  tss: 0x30,
} as const;

// Intel SDM 3A, 3.4.5 "Segment Descriptors": present, accessed, flat; bits 0 to 63.
const GDT = [
  0n,
  0x00af_9b00_0000_ffffn, // 64-bit code, ring 0
  0x00cf_9300_0000_ffffn, // data, ring 0
  0x00cf_fb00_0000_ffffn, // 32-bit code, ring 3
  0x00cf_f300_0000_ffffn, // data, ring 3
  0x00af_fb00_0000_ffffn, // 64-bit code, ring 3
];

const CR0_PE = 1n << 0n;
const CR0_MP = 1n << 1n;
const CR0_ET = 1n << 4n;
const CR0_NE = 1n << 5n;
const CR0_WP = 1n << 16n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const CR4_OSFXSR = 1n << 9n;
const CR4_OSXMMEXCPT = 1n << 10n;
const EFER_SCE = 1n << 0n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
/** Bit 1 of RFLAGS is always set. */
export const RFLAGS_RESERVED = 1n << 1n;

const PTE_PRESENT = 1n << 0n;
const PTE_WRITE = 1n << 1n;
const PTE_USER = 1n << 2n;
const PDE_LARGE = 1n << 7n;
const LARGE_PAGE_SIZE = 0x20_0000;

/** Type of an IDT entry: a 64-bit interrupt gate. */
const INTERRUPT_GATE = 0x8e;

function segment(selector: number, type: number, flags: Partial<Segment>): Segment {
  return {
    base: 0n,
    limit: 0xffff_ffff,
    selector,
    type,
    present: 1,
    dpl: 0,
    db: 0,
    s: 1,
    l: 0,
    g: 1,
    avl: 0,
    ...flags,
  };
}

/** How a bare guest starts. */
export interface BareGuestOptions {
  readonly mode: 'real' | 'long';
  /** What the first vCPU runs, at BARE_LAYOUT.code. */
  readonly code: Uint8Array;
  /** BARE_LAYOUT.memorySize bytes, which the caller disposes. @default memory of its own */
  readonly memory?: HostMemory;
  /** @default 1 */
  readonly vcpuCount?: number;
  /** LAPIC, IOAPIC, PIC and PIT in the kernel; HLT then waits there for an interrupt. @default false */
  readonly interruptControllers?: boolean;
}

/** The guest did not come to its end in time. */
export class BareGuestTimeout extends Error {}

export class BareGuest implements Disposable {
  readonly vm: VirtualMachine;
  readonly memory: HostMemory;
  readonly vcpus: readonly Vcpu[];
  readonly #owned: DisposableStack;
  readonly #view: DataView;

  /** @throws KvmError, SystemError */
  constructor(hypervisor: Hypervisor, options: BareGuestOptions) {
    using created = new DisposableStack();
    const size = BARE_LAYOUT.memorySize;
    this.memory = options.memory ?? created.use(hypervisor.allocateMemory(size, { shared: false, name: 'bare guest' }));
    const { bytes } = this.memory;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.vm = created.use(hypervisor.createVm());
    if (options.interruptControllers === true) this.vm.createInterruptControllers();
    this.vm.setMemorySlot(0, guestAddress(0), this.memory);
    bytes.set(options.code, BARE_LAYOUT.code);
    if (options.mode === 'long') this.#writeTables();
    const cpuid = hypervisor.supportedCpuid();
    this.vcpus = Array.from({ length: options.vcpuCount ?? 1 }, (_, index) => {
      const vcpu = this.vm.createVcpu(index);
      vcpu.setCpuid(cpuid);
      return vcpu;
    });
    for (const vcpu of this.vcpus) this.prepare(vcpu, options.mode, BARE_LAYOUT.code);
    this.#owned = created.move();
  }

  /** The only or the first vCPU. */
  get vcpu(): Vcpu {
    const [first] = this.vcpus;
    if (first === undefined) throw new RangeError('a bare guest without vCPUs');
    return first;
  }

  /** Sets a vCPU up to start at an address below 64 KiB (real mode) or anywhere in RAM (long mode). */
  prepare(vcpu: Vcpu, mode: 'real' | 'long', entry: number): void {
    const special = vcpu.getSpecialRegisters();
    vcpu.setSpecialRegisters(mode === 'long' ? longMode(special) : realMode(special, entry));
    vcpu.setRegisters({
      ...vcpu.getRegisters(),
      rip: mode === 'long' ? BigInt(entry) : 0n,
      rsp: BigInt(mode === 'long' ? BARE_LAYOUT.stack : 0xfff0),
      rflags: RFLAGS_RESERVED,
    });
  }

  /** Points a vector of the IDT at a handler (Intel SDM 3A, 6.14.1 "64-Bit Mode IDT"); any ring may use it. */
  setInterruptHandler(vector: number, handler: number): void {
    const gate = BARE_LAYOUT.idt + 16 * vector;
    const ring3 = 3 << 5;
    this.#view.setUint16(gate, handler & 0xffff, true);
    this.#view.setUint16(gate + 2, BARE_SELECTORS.kernelCode, true);
    this.#view.setUint16(gate + 4, (INTERRUPT_GATE | ring3) << 8, true);
    this.#view.setUint16(gate + 6, handler >>> 16, true);
  }

  #writeTables(): void {
    for (const [index, descriptor] of GDT.entries())
      this.#view.setBigUint64(BARE_LAYOUT.gdt + 8 * index, descriptor, true);
    const tss = BigInt(BARE_LAYOUT.tss);
    // A busy 64-bit TSS (type 11) of 104 bytes; its base is below 16 MiB.
    this.#view.setBigUint64(BARE_LAYOUT.gdt + BARE_SELECTORS.tss, 0x0000_8b00_0000_0067n | (tss << 16n), true);
    // RSP0: the stack that an interrupt in ring 3 switches to.
    this.#view.setBigUint64(BARE_LAYOUT.tss + 4, BigInt(BARE_LAYOUT.stack), true);
    const table = PTE_PRESENT | PTE_WRITE | PTE_USER;
    this.#view.setBigUint64(BARE_LAYOUT.pml4, BigInt(BARE_LAYOUT.pdpt) | table, true);
    for (const [index, address] of [0, BARE_LAYOUT.device].entries()) {
      const directory = BARE_LAYOUT.pageDirectories[index] ?? 0;
      this.#view.setBigUint64(BARE_LAYOUT.pdpt + 8 * Math.floor(address / GIB), BigInt(directory) | table, true);
      const entry = directory + 8 * Math.floor((address % GIB) / LARGE_PAGE_SIZE);
      this.#view.setBigUint64(entry, BigInt(address) | table | PDE_LARGE, true);
    }
  }

  /** `runVcpu` of one of this guest's. */
  async run(onExit: (exit: VmExit) => boolean, limitMs: number, vcpu = this.vcpu): Promise<VmExit> {
    return await runVcpu(vcpu, onExit, limitMs);
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/**
 * Runs a vCPU until `onExit` returns false.
 * @returns the exit at which it did
 * @throws BareGuestTimeout after `limitMs`; the vCPU is stopped then
 */
export async function runVcpu(vcpu: Vcpu, onExit: (exit: VmExit) => boolean, limitMs: number): Promise<VmExit> {
  return await new Promise((resolve, reject) => {
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      vcpu.kick();
    }, limitMs);
    const end = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    vcpu.start({
      onExit: (exit) => {
        if (overdue) {
          end(() => reject(new BareGuestTimeout(`the guest was not done after ${limitMs} ms`)));
          return false;
        }
        const goOn = onExit(exit);
        if (!goOn) end(() => resolve(exit));
        return goOn;
      },
      onFailure: (error) => end(() => reject(error)),
    });
  });
}

function realMode(special: SpecialRegisters, entry: number): SpecialRegisters {
  const flat = (old: Segment): Segment => ({ ...old, base: 0n, selector: 0 });
  return {
    ...special,
    cs: { ...special.cs, base: BigInt(entry), selector: entry >>> 4 },
    ds: flat(special.ds),
    es: flat(special.es),
    ss: flat(special.ss),
  };
}

function longMode(special: SpecialRegisters): SpecialRegisters {
  const data = segment(BARE_SELECTORS.kernelData, 3, { db: 1 });
  return {
    ...special,
    cs: segment(BARE_SELECTORS.kernelCode, 11, { l: 1 }),
    ds: data,
    es: data,
    fs: data,
    gs: data,
    ss: data,
    tr: segment(BARE_SELECTORS.tss, 11, { base: BigInt(BARE_LAYOUT.tss), limit: 0x67, s: 0, g: 0 }),
    gdt: { base: BigInt(BARE_LAYOUT.gdt), limit: BARE_SELECTORS.tss + 15 },
    idt: { base: BigInt(BARE_LAYOUT.idt), limit: 256 * 16 - 1 },
    cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
    cr3: BigInt(BARE_LAYOUT.pml4),
    cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
    efer: EFER_LME | EFER_LMA | EFER_SCE,
  };
}
