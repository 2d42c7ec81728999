// The identity map that the boot processor starts with: linear addresses 0 to 4 GiB are the physical ones.
// Source: Intel SDM 3A, 4.5 "4-Level Paging and 5-Level Paging", tables 4-15 to 4-18.
import { GIB, MIB, PAGE_SIZE } from '../../lib/units.ts';

const ENTRY_SIZE = 8;
const PRESENT = 1n << 0n;
const WRITABLE = 1n << 1n;
/** PS: the entry maps a page instead of pointing to a table. */
const PAGE = 1n << 7n;
const MAPPED_GIB = 4;

/**
 * Makes the tables, PML4 first, to be put at `address` (page-aligned). The map covers what the Linux/x86 boot protocol
 * asks for (kernel, zero page, command line) and the interrupt controllers.
 * @param hasGigabytePages CPUID.80000001H:EDX[26]: two tables suffice instead of six
 */
export function encodePageTables(address: number, hasGigabytePages: boolean): Uint8Array {
  const tables = new Uint8Array((hasGigabytePages ? 2 : 2 + MAPPED_GIB) * PAGE_SIZE);
  const view = new DataView(tables.buffer);
  const set = (table: number, index: number, target: number, flags: bigint): void =>
    view.setBigUint64(table * PAGE_SIZE + index * ENTRY_SIZE, BigInt(target) | flags, true);

  set(0, 0, address + PAGE_SIZE, PRESENT | WRITABLE);
  for (let gib = 0; gib < MAPPED_GIB; gib++) {
    if (hasGigabytePages) {
      set(1, gib, gib * GIB, PRESENT | WRITABLE | PAGE);
      continue;
    }
    const directory = 2 + gib;
    set(1, gib, address + directory * PAGE_SIZE, PRESENT | WRITABLE);
    for (let page = 0; page < GIB / (2 * MIB); page++) {
      set(directory, page, gib * GIB + page * 2 * MIB, PRESENT | WRITABLE | PAGE);
    }
  }
  return tables;
}
