// struct virtio_fs_config (virtio 1.3, 5.11.4).
import { virtio_fs_config } from '../abi.gen.ts';

/** Bytes of the tag field: everything before the next one. */
const TAG_SIZE: number = virtio_fs_config.num_request_queues;
const CONFIG_SIZE = TAG_SIZE + Uint32Array.BYTES_PER_ELEMENT;

/** @throws RangeError when the tag is empty or longer than its 36 bytes */
export function fsConfigSpace(tag: string, requestQueues: number): Uint8Array {
  const name = new TextEncoder().encode(tag);
  if (name.length === 0 || name.length > TAG_SIZE) {
    throw new RangeError(`the file system tag "${tag}" has ${name.length} bytes: use 1 to ${TAG_SIZE}`);
  }
  const bytes = new Uint8Array(CONFIG_SIZE);
  bytes.set(name, virtio_fs_config.tag);
  new DataView(bytes.buffer).setUint32(virtio_fs_config.num_request_queues, requestQueues, true);
  return bytes;
}
