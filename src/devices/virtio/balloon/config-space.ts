// struct virtio_balloon_config (virtio 1.3, 5.5.4). The device writes `num_pages`, the driver `actual` and `poison_val`.
import { VIRTIO_BALLOON_PFN_SHIFT, virtio_balloon_config } from '../abi.gen.ts';

/** The balloon's unit, whatever the pages of the guest are, bytes. */
export const BALLOON_PAGE_SIZE: number = 1 << VIRTIO_BALLOON_PFN_SHIFT;
const FIELD_SIZE = 4;
const CONFIG_SIZE: number = virtio_balloon_config.poison_val + FIELD_SIZE;

export class BalloonConfigSpace {
  readonly bytes: Uint8Array = new Uint8Array(CONFIG_SIZE);
  readonly #view = new DataView(this.bytes.buffer);

  /** Pages that the driver is to put into the balloon. */
  get targetPages(): number {
    return this.#view.getUint32(virtio_balloon_config.num_pages, true);
  }

  set targetPages(count: number) {
    this.#view.setUint32(virtio_balloon_config.num_pages, count, true);
  }

  /** Pages that are in the balloon, as the driver says. */
  get actualPages(): number {
    return this.#view.getUint32(virtio_balloon_config.actual, true);
  }

  set actualPages(count: number) {
    this.#view.setUint32(virtio_balloon_config.actual, count, true);
  }

  /** What the driver fills free pages with. */
  get poisonValue(): number {
    return this.#view.getUint32(virtio_balloon_config.poison_val, true);
  }

  set poisonValue(value: number) {
    this.#view.setUint32(virtio_balloon_config.poison_val, value, true);
  }

  /** A driver's write, which has an effect on the whole of one of its own fields only. */
  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length !== FIELD_SIZE) return;
    if (offset === virtio_balloon_config.actual || offset === virtio_balloon_config.poison_val) {
      this.bytes.set(bytes, offset);
    }
  }
}
