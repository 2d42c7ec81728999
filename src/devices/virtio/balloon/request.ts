// Page numbers of the inflate and deflate queues, and the statistics: bytes in, plain data out.
import {
  VIRTIO_BALLOON_S_AVAIL,
  VIRTIO_BALLOON_S_CACHES,
  VIRTIO_BALLOON_S_HTLB_PGALLOC,
  VIRTIO_BALLOON_S_HTLB_PGFAIL,
  VIRTIO_BALLOON_S_MAJFLT,
  VIRTIO_BALLOON_S_MEMFREE,
  VIRTIO_BALLOON_S_MEMTOT,
  VIRTIO_BALLOON_S_MINFLT,
  VIRTIO_BALLOON_S_SWAP_IN,
  VIRTIO_BALLOON_S_SWAP_OUT,
  virtio_balloon_stat,
} from '../abi.gen.ts';
import { BALLOON_PAGE_SIZE } from './config-space.ts';

/** Bytes of a page number. */
export const PAGE_NUMBER_SIZE: number = Uint32Array.BYTES_PER_ELEMENT;

/** Neighbouring pages, in bytes. */
export interface PageRange {
  readonly address: number;
  readonly length: number;
}

/**
 * The ranges that a list of page numbers makes, in order and without overlap: a driver lists neighbours in any order.
 * @param bytes whole page numbers of 32 bits, little-endian
 */
export function pageRanges(bytes: Uint8Array): PageRange[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const numbers = Uint32Array.from({ length: bytes.length / PAGE_NUMBER_SIZE }, (_, index) =>
    view.getUint32(PAGE_NUMBER_SIZE * index, true),
  ).sort();
  const ranges: PageRange[] = [];
  let first: number | undefined;
  let end = 0;
  const finish = () => {
    if (first === undefined) return;
    ranges.push({ address: first * BALLOON_PAGE_SIZE, length: (end - first) * BALLOON_PAGE_SIZE });
  };
  for (const number of numbers) {
    if (first === undefined || number > end) {
      finish();
      first = number;
    }
    end = number + 1;
  }
  finish();
  return ranges;
}

/** The part of a range that is whole pages; undefined when there is none. */
export function wholePages({ address, length }: PageRange): PageRange | undefined {
  const start = Math.ceil(address / BALLOON_PAGE_SIZE) * BALLOON_PAGE_SIZE;
  const end = Math.floor((address + length) / BALLOON_PAGE_SIZE) * BALLOON_PAGE_SIZE;
  return end > start ? { address: start, length: end - start } : undefined;
}

/**
 * What the driver says about the guest's memory (virtio 1.3, 5.5.6.4), by name with the unit at its end. What it does not say
 * is absent.
 */
export type BalloonStatistics = Readonly<Record<string, number>>;

const STATISTICS: ReadonlyMap<number, string> = new Map([
  [VIRTIO_BALLOON_S_SWAP_IN, 'swapped_in_bytes'],
  [VIRTIO_BALLOON_S_SWAP_OUT, 'swapped_out_bytes'],
  [VIRTIO_BALLOON_S_MAJFLT, 'major_faults'],
  [VIRTIO_BALLOON_S_MINFLT, 'minor_faults'],
  [VIRTIO_BALLOON_S_MEMFREE, 'free_memory_bytes'],
  [VIRTIO_BALLOON_S_MEMTOT, 'total_memory_bytes'],
  // Can be had without swapping.
  [VIRTIO_BALLOON_S_AVAIL, 'available_memory_bytes'],
  // Can be taken back without reading or writing anything.
  [VIRTIO_BALLOON_S_CACHES, 'disk_caches_bytes'],
  [VIRTIO_BALLOON_S_HTLB_PGALLOC, 'huge_page_allocations'],
  [VIRTIO_BALLOON_S_HTLB_PGFAIL, 'failed_huge_page_allocations'],
]);

/** Entries that are looked at: more than there are tags. */
const MAX_STATISTICS = 32;
/** Bytes of a statistics buffer that are looked at. */
export const MAX_STATISTICS_SIZE: number = MAX_STATISTICS * virtio_balloon_stat.sizeof;

/**
 * Reads a statistics buffer: tags in any order, unknown ones left out, as is a part of an entry at the end.
 * @param bytes that the guest cannot change any more
 */
export function decodeStatistics(bytes: Uint8Array): BalloonStatistics {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: Record<string, number> = {};
  for (let at = 0; at + virtio_balloon_stat.sizeof <= bytes.length; at += virtio_balloon_stat.sizeof) {
    const name = STATISTICS.get(view.getUint16(at + virtio_balloon_stat.tag, true));
    if (name !== undefined) found[name] = Number(view.getBigUint64(at + virtio_balloon_stat.val, true));
  }
  return found;
}
