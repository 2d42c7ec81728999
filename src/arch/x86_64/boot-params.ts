// The zero page (struct boot_params) of the Linux/x86 boot protocol.
// Source: Linux, Documentation/arch/x86/zero-page.rst and arch/x86/include/uapi/asm/bootparam.h.
import { PAGE_SIZE } from '../../lib/units.ts';
import type { MemoryMapEntry } from './layout.ts';
import { LOADER_TYPE_UNDEFINED, SETUP_HEADER, SETUP_HEADER_OFFSET } from './setup-header.ts';

/** acpi_rsdp_addr: saves the kernel the search. */
const ACPI_RSDP_ADDR_OFFSET = 0x70;
/** e820_entries: number of entries in e820_table. */
const E820_ENTRIES_OFFSET = 0x1e8;
/** e820_table: struct boot_e820_entry {u64 addr; u64 size; u32 type;}, packed. */
const E820_TABLE_OFFSET = 0x2d0;
const E820_ENTRY_SIZE = 20;

/** What the loader tells a Linux kernel. */
export interface BootParameters {
  /** struct setup_header of the image. */
  readonly setupHeader: Uint8Array;
  /** Where the protected-mode code is. */
  readonly kernelAddress: number;
  readonly commandLineAddress: number;
  /** The initial RAM disk; below 4 GiB. */
  readonly initrd: { readonly address: number; readonly size: number } | undefined;
  readonly acpiAddress: number;
  readonly memoryMap: readonly MemoryMapEntry[];
}

/** Makes the zero page, 4096 bytes. */
export function encodeBootParameters(parameters: BootParameters): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  page.set(parameters.setupHeader, SETUP_HEADER_OFFSET);
  view.setUint8(SETUP_HEADER.type_of_loader.offset, LOADER_TYPE_UNDEFINED);
  view.setUint32(SETUP_HEADER.code32_start.offset, parameters.kernelAddress, true);
  view.setUint32(SETUP_HEADER.cmd_line_ptr.offset, parameters.commandLineAddress, true);
  view.setUint32(SETUP_HEADER.ramdisk_image.offset, parameters.initrd?.address ?? 0, true);
  view.setUint32(SETUP_HEADER.ramdisk_size.offset, parameters.initrd?.size ?? 0, true);
  // A list of ours would hang here; what an image carries in this field points nowhere in this machine.
  view.setBigUint64(SETUP_HEADER.setup_data.offset, 0n, true);
  view.setBigUint64(ACPI_RSDP_ADDR_OFFSET, BigInt(parameters.acpiAddress), true);
  view.setUint8(E820_ENTRIES_OFFSET, parameters.memoryMap.length);
  for (const [index, entry] of parameters.memoryMap.entries()) {
    const at = E820_TABLE_OFFSET + index * E820_ENTRY_SIZE;
    view.setBigUint64(at, BigInt(entry.address), true);
    view.setBigUint64(at + 8, BigInt(entry.size), true);
    view.setUint32(at + 16, entry.type, true);
  }
  return page;
}
