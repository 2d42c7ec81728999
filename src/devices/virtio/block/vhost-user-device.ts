// The block device (virtio 1.3, 5.2) whose requests are carried out by a program: model, configuration space and limits are
// the program's, and what this process does is to pass on what the driver writes there.
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_BLOCK,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  virtio_blk_config,
} from '../abi.gen.ts';
import type { ActivationContext, ActiveDevice, VirtioDevice } from '../device.ts';
import { featureSet, hasFeature } from '../features.ts';
import type { QueueServer } from '../queue-server.ts';
import { WRITEBACK, WRITETHROUGH } from './config-space.ts';

/** QEMU's back ends serve rings of up to 1024; Linux makes no use of more than this without several queues. */
const QUEUE_SIZE = 256;
/** The fields up to those of secure erase, which is not offered. */
const CONFIG_SIZE: number = virtio_blk_config.max_secure_erase_sectors;
/** Of several queues, which the back end may have, one is used. */
const USEFUL_FEATURES = featureSet(
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_F_CONFIG_WCE,
);

export interface VhostUserBlockBackend extends QueueServer {
  /** The first bytes of struct virtio_blk_config. @throws when the back end has none */
  readConfiguration(length: number): Uint8Array;
  /** Passes on what the driver wrote to the configuration space. @throws when the back end refuses it */
  writeConfiguration(offset: number, bytes: Uint8Array): void;
}

export interface VhostUserBlockOptions {
  /** For logs: "root". */
  readonly name: string;
  readonly backend: VhostUserBlockBackend;
}

export class VhostUserBlockDevice implements VirtioDevice {
  readonly name: string;
  readonly deviceId = VIRTIO_ID_BLOCK;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configurationSpace: Uint8Array;
  readonly #backend: VhostUserBlockBackend;

  /** @throws what the back end throws when it has no configuration space */
  constructor({ name, backend }: VhostUserBlockOptions) {
    this.name = `block:${name}`;
    this.#backend = backend;
    this.configurationSpace = backend.readConfiguration(CONFIG_SIZE);
    const view = new DataView(this.configurationSpace.buffer, this.configurationSpace.byteOffset);
    const features = backend.features & USEFUL_FEATURES;
    // qemu-storage-daemon offers the field and leaves it 0, which would be no segment at all.
    const hasNoSizeMax = view.getUint32(virtio_blk_config.size_max, true) === 0;
    this.features = hasNoSizeMax ? features & ~featureSet(VIRTIO_BLK_F_SIZE_MAX) : features;
    this.#setCacheMode(WRITEBACK);
  }

  get isReadOnly(): boolean {
    return hasFeature(this.features, VIRTIO_BLK_F_RO);
  }

  /** @throws what the back end throws; TypeError when a restored state is none of a disk's */
  activate(context: ActivationContext): ActiveDevice {
    if (context.restored !== undefined) {
      const { writethrough } = context.restored;
      if (typeof writethrough !== 'boolean') throw new TypeError('the state of a disk has no cache mode');
      this.#setCacheMode(writethrough ? WRITETHROUGH : WRITEBACK);
    }
    // "If VIRTIO_BLK_F_CONFIG_WCE is negotiated but VIRTIO_BLK_F_FLUSH is not, the device MUST initialize writeback to 0"
    // (virtio 1.3, 5.2.5.2). Without either, the driver may rely on a writethrough cache (5.2.5.1).
    if (!hasFeature(context.features, VIRTIO_BLK_F_FLUSH)) {
      this.#setCacheMode(WRITETHROUGH);
      context.interrupt.configurationChange();
    }
    const queues = this.#backend.start(context);
    return {
      quiesce: () => queues.quiesce(),
      resume: () => queues.resume(),
      saveState: () => ({ writethrough: this.configurationSpace[virtio_blk_config.wce] === WRITETHROUGH }),
      [Symbol.dispose]: () => {
        queues[Symbol.dispose]();
        this.#setCacheMode(WRITEBACK);
      },
    };
  }

  /** The driver chooses the cache mode by `writeback`; all else is read-only. */
  writeConfiguration(offset: number, bytes: Uint8Array): void {
    if (offset !== virtio_blk_config.wce || bytes.length !== 1) return;
    this.#setCacheMode(bytes[0] === WRITETHROUGH ? WRITETHROUGH : WRITEBACK);
  }

  idle(): Promise<void> | undefined {
    return this.#backend.idle();
  }

  #setCacheMode(mode: number): void {
    if (!hasFeature(this.features, VIRTIO_BLK_F_CONFIG_WCE)) return;
    if (this.configurationSpace[virtio_blk_config.wce] === mode) return;
    this.#backend.writeConfiguration(virtio_blk_config.wce, Uint8Array.of(mode));
    this.configurationSpace[virtio_blk_config.wce] = mode;
  }
}
