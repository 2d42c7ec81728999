// The registers with which the boot processor enters a kernel.
import type { Registers, SpecialRegisters } from '../../hypervisor/ports.ts';
import type { BootProtocol } from './kernel-image.ts';
import {
  GDT_ADDRESS,
  LOCAL_APIC_ADDRESS,
  PAGE_TABLES_ADDRESS,
  PVH_START_INFO_ADDRESS,
  ZERO_PAGE_ADDRESS,
} from './layout.ts';
import { CODE_32, CODE_64, DATA, encodeGdt, NO_LDT, TSS } from './segments.ts';

/** Control register bits (Intel SDM 3A, 2.5 "Control Registers"). */
const CR0_PE = 1n << 0n;
const CR0_ET = 1n << 4n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** IA32_EFER (Intel SDM 3A, 2.2.1 "Extended Feature Enable Register"). */
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
/** RFLAGS bit 1 is always one; interrupts are off. */
const RFLAGS_RESERVED = 1n << 1n;
/** IA32_APIC_BASE: the local APIC is on, this is the bootstrap processor (Intel SDM 3A, 10.4.4). */
const APIC_BASE_BSP = 1n << 8n;
const APIC_BASE_ENABLE = 1n << 11n;

/** What to set on vCPU 0 before it runs. The other vCPUs stay as the hypervisor made them: they wait for a SIPI. */
export interface EntryState {
  readonly protocol: BootProtocol;
  readonly registers: Registers;
  readonly specialRegisters: SpecialRegisters;
}

const ZERO_REGISTERS: Registers = {
  rax: 0n,
  rbx: 0n,
  rcx: 0n,
  rdx: 0n,
  rsi: 0n,
  rdi: 0n,
  rsp: 0n,
  rbp: 0n,
  r8: 0n,
  r9: 0n,
  r10: 0n,
  r11: 0n,
  r12: 0n,
  r13: 0n,
  r14: 0n,
  r15: 0n,
  rip: 0n,
  rflags: RFLAGS_RESERVED,
};

const FLAT_SEGMENTS = { ds: DATA, es: DATA, fs: DATA, gs: DATA, ss: DATA, tr: TSS, ldt: NO_LDT } as const;

const TABLES_AND_APIC = {
  gdt: { base: BigInt(GDT_ADDRESS), limit: encodeGdt(CODE_64).length - 1 },
  // Without an IDT a fault before the kernel has its own is a triple fault: the VM stops and says so.
  idt: { base: 0n, limit: 0 },
  cr2: 0n,
  cr8: 0n,
  apicBase: BigInt(LOCAL_APIC_ADDRESS) | APIC_BASE_ENABLE | APIC_BASE_BSP,
} as const;

/**
 * The state at a kernel's entry.
 *
 * linux64: boot.rst, "64-bit Boot Protocol": 64-bit mode, paging on, flat segments, interrupts off, RSI has the address
 * of the zero page. pvh: pvh.pandoc: 32-bit protected mode, paging off, EBX has the address of the start info.
 */
export function entryState(protocol: BootProtocol, entry: number): EntryState {
  switch (protocol) {
    case 'linux64':
      return {
        protocol,
        registers: { ...ZERO_REGISTERS, rip: BigInt(entry), rsi: BigInt(ZERO_PAGE_ADDRESS) },
        specialRegisters: {
          cs: CODE_64,
          ...FLAT_SEGMENTS,
          ...TABLES_AND_APIC,
          cr0: CR0_PE | CR0_ET | CR0_PG,
          cr3: BigInt(PAGE_TABLES_ADDRESS),
          cr4: CR4_PAE,
          efer: EFER_LME | EFER_LMA,
        },
      };
    case 'pvh':
      return {
        protocol,
        registers: { ...ZERO_REGISTERS, rip: BigInt(entry), rbx: BigInt(PVH_START_INFO_ADDRESS) },
        specialRegisters: {
          cs: CODE_32,
          ...FLAT_SEGMENTS,
          ...TABLES_AND_APIC,
          cr0: CR0_PE | CR0_ET,
          cr3: 0n,
          cr4: 0n,
          efer: 0n,
        },
      };
  }
}
