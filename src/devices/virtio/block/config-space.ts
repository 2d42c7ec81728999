// struct virtio_blk_config (virtio 1.3, 5.2.4).
import { virtio_blk_config } from '../abi.gen.ts';

/** Bytes of a sector, whatever the block size is (virtio 1.3, 5.2.4). */
export const SECTOR_SIZE = 512;
/** The fields up to those of secure erase, which is not offered. */
const CONFIG_SIZE: number = virtio_blk_config.max_secure_erase_sectors;

/** What one discard or write-zeroes request may cover. */
export interface RangeLimits {
  /** The longest range, sectors. */
  readonly maxSectors: number;
  readonly maxRanges: number;
}

/** The fields that are not the same for every disk. */
export interface BlockConfig {
  /** Bytes: a multiple of SECTOR_SIZE. */
  readonly size: number;
  /** The smallest unit that the back end reads and writes well, bytes: a power of two, at least SECTOR_SIZE. */
  readonly blockSize: number;
  /** What the storage below writes at a time, bytes: a power of two, at least `blockSize`. */
  readonly physicalBlockSize: number;
  /** Data segments of one request. */
  readonly maxSegments: number;
  /** Undefined when not offered. */
  readonly discard: RangeLimits | undefined;
  /** Undefined when not offered. */
  readonly writeZeroes: RangeLimits | undefined;
}

/** @throws RangeError when the sizes do not make a disk */
export function blockConfigSpace(config: BlockConfig): Uint8Array {
  const { size, blockSize, physicalBlockSize, discard, writeZeroes } = config;
  if (!Number.isSafeInteger(size) || size < 0 || size % SECTOR_SIZE !== 0) {
    throw new RangeError(`a disk of ${size} bytes is no whole number of ${SECTOR_SIZE}-byte sectors`);
  }
  const physicalExponent = Math.log2(physicalBlockSize / blockSize);
  if (!isExponent(Math.log2(blockSize / SECTOR_SIZE)) || !isExponent(physicalExponent)) {
    throw new RangeError(
      `blocks of ${blockSize} bytes on ${physicalBlockSize}: use powers of two from ${SECTOR_SIZE} on`,
    );
  }
  const bytes = new Uint8Array(CONFIG_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(virtio_blk_config.capacity, BigInt(size / SECTOR_SIZE), true);
  view.setUint32(virtio_blk_config.seg_max, config.maxSegments, true);
  view.setUint32(virtio_blk_config.blk_size, blockSize, true);
  view.setUint8(virtio_blk_config.physical_block_exp, physicalExponent);
  view.setUint16(virtio_blk_config.min_io_size, physicalBlockSize / blockSize, true);
  view.setUint8(virtio_blk_config.wce, WRITEBACK);
  if (discard !== undefined) {
    view.setUint32(virtio_blk_config.max_discard_sectors, discard.maxSectors, true);
    view.setUint32(virtio_blk_config.max_discard_seg, discard.maxRanges, true);
    view.setUint32(virtio_blk_config.discard_sector_alignment, physicalBlockSize / SECTOR_SIZE, true);
  }
  if (writeZeroes !== undefined) {
    view.setUint32(virtio_blk_config.max_write_zeroes_sectors, writeZeroes.maxSectors, true);
    view.setUint32(virtio_blk_config.max_write_zeroes_seg, writeZeroes.maxRanges, true);
    view.setUint8(virtio_blk_config.write_zeroes_may_unmap, discard === undefined ? 0 : 1);
  }
  return bytes;
}

/** Values of the field `writeback`, "wce" in Linux' header. */
export const WRITETHROUGH = 0;
export const WRITEBACK = 1;

function isExponent(value: number): boolean {
  return Number.isInteger(value) && value >= 0;
}
