// struct hvm_start_info of the x86/HVM direct boot ABI (PVH), version 1.
// Sources: Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
import type { MemoryMapEntry } from './layout.ts';

const XEN_HVM_START_MAGIC_VALUE = 0x336e_c578;
/** Version 1 added the memory map. */
const START_INFO_VERSION = 1;
const START_INFO_SIZE = 56;
/** struct hvm_modlist_entry {u64 paddr, size, cmdline_paddr, reserved;} */
const MODULE_ENTRY_SIZE = 32;
/** struct hvm_memmap_table_entry {u64 addr, size; u32 type, reserved;} */
const MEMORY_MAP_ENTRY_SIZE = 24;

export interface PvhParameters {
  /** Where the result will be in guest memory: it points into itself. */
  readonly address: number;
  readonly commandLineAddress: number;
  /** The initial RAM disk is the first and only module. */
  readonly initrd: { readonly address: number; readonly size: number } | undefined;
  readonly acpiAddress: number;
  readonly memoryMap: readonly MemoryMapEntry[];
}

/** Makes the start info, followed by its module list and its memory map. */
export function encodePvhStartInfo(parameters: PvhParameters): Uint8Array {
  const { address, commandLineAddress, initrd, acpiAddress, memoryMap } = parameters;
  const modules = START_INFO_SIZE;
  const map = modules + MODULE_ENTRY_SIZE;
  const bytes = new Uint8Array(map + memoryMap.length * MEMORY_MAP_ENTRY_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, XEN_HVM_START_MAGIC_VALUE, true);
  view.setUint32(4, START_INFO_VERSION, true);
  view.setUint32(12, initrd === undefined ? 0 : 1, true);
  view.setBigUint64(16, BigInt(initrd === undefined ? 0 : address + modules), true);
  view.setBigUint64(24, BigInt(commandLineAddress), true);
  view.setBigUint64(32, BigInt(acpiAddress), true);
  view.setBigUint64(40, BigInt(address + map), true);
  view.setUint32(48, memoryMap.length, true);
  if (initrd !== undefined) {
    view.setBigUint64(modules, BigInt(initrd.address), true);
    view.setBigUint64(modules + 8, BigInt(initrd.size), true);
  }
  for (const [index, entry] of memoryMap.entries()) {
    const at = map + index * MEMORY_MAP_ENTRY_SIZE;
    view.setBigUint64(at, BigInt(entry.address), true);
    view.setBigUint64(at + 8, BigInt(entry.size), true);
    view.setUint32(at + 16, entry.type, true);
  }
  return bytes;
}
