// struct virtio_mem_config (virtio 1.3, 5.15.4). All of it is the device's; a driver's writes have no effect.
import { virtio_mem_config } from '../abi.gen.ts';

/** Where the blocks of a memory device are. Address and sizes in bytes, multiples of the block size, a power of two. */
export interface MemoryLayout {
  readonly address: number;
  readonly size: number;
  readonly blockSize: number;
}

export class MemoryConfigSpace {
  readonly bytes: Uint8Array = new Uint8Array(virtio_mem_config.sizeof);
  readonly #view = new DataView(this.bytes.buffer);

  /** All of the region is usable from the start: what limits a driver is the requested size. */
  constructor({ address, size, blockSize }: MemoryLayout) {
    this.#set('addr', address);
    this.#set('region_size', size);
    this.#set('usable_region_size', size);
    this.#set('block_size', blockSize);
  }

  /** How much is plugged, bytes. */
  set pluggedSize(size: number) {
    this.#set('plugged_size', size);
  }

  /** How much the driver is to have plugged, bytes. */
  get requestedSize(): number {
    return Number(this.#view.getBigUint64(virtio_mem_config.requested_size, true));
  }

  set requestedSize(size: number) {
    this.#set('requested_size', size);
  }

  #set(field: keyof typeof virtio_mem_config, value: number): void {
    this.#view.setBigUint64(virtio_mem_config[field], BigInt(value), true);
  }
}
