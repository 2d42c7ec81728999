// The requests of the block device (virtio 1.3, 5.2.6): a chain in, plain data out. The data itself stays where it is.
import {
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_ID_BYTES,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_WRITE_ZEROES,
  VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
  virtio_blk_discard_write_zeroes,
  virtio_blk_outhdr,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import { hasFeature } from '../features.ts';
import { QueueError } from '../queue-error.ts';
import { type RangeLimits, SECTOR_SIZE } from './config-space.ts';

/** Bytes of the request before its data. */
export const HEADER_SIZE: number = virtio_blk_outhdr.sizeof;
/** The status byte behind the data. */
export const STATUS_SIZE = 1;
const RANGE_SIZE: number = virtio_blk_discard_write_zeroes.sizeof;

/** A part of the disk, bytes. */
export interface DiskRange {
  readonly offset: number;
  readonly length: number;
}

/** A range to zero, and whether its space may be given back. */
export interface ZeroRange extends DiskRange {
  readonly mayDiscard: boolean;
}

/** What a driver asks for. All ranges lie inside the disk. */
export type BlockRequest =
  | ({ readonly kind: 'read' | 'write' } & DiskRange)
  | { readonly kind: 'flush' }
  | { readonly kind: 'get-id' }
  | { readonly kind: 'discard' | 'write-zeroes'; readonly ranges: readonly ZeroRange[] }
  /** For VIRTIO_BLK_S_UNSUPP. */
  | { readonly kind: 'unsupported' }
  /** The driver broke a rule: for VIRTIO_BLK_S_IOERR, "device or driver error". */
  | { readonly kind: 'invalid' };

/** What requests are judged by. */
export interface DiskRules {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** The features that were negotiated. */
  readonly features: bigint;
  readonly rangeLimits: RangeLimits;
}

const UNSUPPORTED: BlockRequest = { kind: 'unsupported' };
const INVALID: BlockRequest = { kind: 'invalid' };

/** Bytes of the data that the driver wants to get. @throws QueueError BUFFER_LAYOUT when there is no room for a status */
export function dataRoom(chain: Chain): number {
  // Nothing can be answered without the status byte, which every request ends with (virtio 1.3, 5.2.6).
  if (chain.writable.length < STATUS_SIZE)
    throw new QueueError('BUFFER_LAYOUT', 'a block request without a status byte');
  return chain.writable.length - STATUS_SIZE;
}

/** Reads a request. @throws QueueError BUFFER_LAYOUT when there is no room for a status */
export function parseRequest(chain: Chain, rules: DiskRules): BlockRequest {
  const room = dataRoom(chain);
  const sent = chain.readable.length - HEADER_SIZE;
  if (sent < 0) return INVALID;
  const header = chain.readable.copy(0, HEADER_SIZE);
  const view = new DataView(header.buffer);
  const sector = view.getBigUint64(virtio_blk_outhdr.sector, true);
  switch (view.getUint32(virtio_blk_outhdr.type, true)) {
    case VIRTIO_BLK_T_IN:
      return sent === 0 ? transfer('read', sector, room, rules) : INVALID;
    case VIRTIO_BLK_T_OUT:
      // "A device MUST set the status byte to VIRTIO_BLK_S_IOERR for a write request if the VIRTIO_BLK_F_RO feature if
      // offered, and MUST NOT write any data" (virtio 1.3, 5.2.6.2).
      return room === 0 && !rules.readOnly ? transfer('write', sector, sent, rules) : INVALID;
    case VIRTIO_BLK_T_FLUSH:
      return { kind: 'flush' };
    case VIRTIO_BLK_T_GET_ID:
      return room >= VIRTIO_BLK_ID_BYTES ? { kind: 'get-id' } : INVALID;
    case VIRTIO_BLK_T_DISCARD:
      return hasFeature(rules.features, VIRTIO_BLK_F_DISCARD) ? parseRanges('discard', chain, rules) : UNSUPPORTED;
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return hasFeature(rules.features, VIRTIO_BLK_F_WRITE_ZEROES)
        ? parseRanges('write-zeroes', chain, rules)
        : UNSUPPORTED;
    default:
      return UNSUPPORTED;
  }
}

function transfer(kind: 'read' | 'write', sector: bigint, length: number, { size }: DiskRules): BlockRequest {
  // "A driver MUST NOT submit a request which would cause a read or write beyond capacity", and "the length of data MUST be
  // a multiple of 512 bytes for VIRTIO_BLK_T_IN and VIRTIO_BLK_T_OUT requests" (virtio 1.3, 5.2.6.1).
  if (length % SECTOR_SIZE !== 0 || !isInside(sector, length / SECTOR_SIZE, size)) return INVALID;
  return { kind, offset: Number(sector) * SECTOR_SIZE, length };
}

/** The segments of a discard or write-zeroes request (struct virtio_blk_discard_write_zeroes). */
function parseRanges(kind: 'discard' | 'write-zeroes', chain: Chain, rules: DiskRules): BlockRequest {
  const { size, rangeLimits } = rules;
  const sent = chain.readable.length - HEADER_SIZE;
  const count = sent / RANGE_SIZE;
  if (!Number.isInteger(count) || count < 1 || count > rangeLimits.maxRanges) return INVALID;
  const bytes = chain.readable.copy(HEADER_SIZE, sent);
  const view = new DataView(bytes.buffer);
  const ranges: ZeroRange[] = [];
  for (let start = 0; start < sent; start += RANGE_SIZE) {
    const sector = view.getBigUint64(start + virtio_blk_discard_write_zeroes.sector, true);
    const sectors = view.getUint32(start + virtio_blk_discard_write_zeroes.num_sectors, true);
    const flags = view.getUint32(start + virtio_blk_discard_write_zeroes.flags, true);
    // Any unknown flag is unsupported, and so is unmap in a discard (virtio 1.3, 5.2.6.2).
    if ((flags & ~(kind === 'discard' ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)) !== 0) return UNSUPPORTED;
    if (sectors > rangeLimits.maxSectors || !isInside(sector, sectors, size)) return INVALID;
    ranges.push({ offset: Number(sector) * SECTOR_SIZE, length: sectors * SECTOR_SIZE, mayDiscard: flags !== 0 });
  }
  return { kind, ranges };
}

function isInside(sector: bigint, sectors: number, size: number): boolean {
  return sector + BigInt(sectors) <= BigInt(size / SECTOR_SIZE);
}
