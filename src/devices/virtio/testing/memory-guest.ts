// A guest's memory driver in a few lines, on the mock driver, and a host that remembers what is plugged.
import { GIB, MIB } from '../../../lib/units.ts';
import {
  VIRTIO_MEM_REQ_PLUG,
  VIRTIO_MEM_REQ_STATE,
  VIRTIO_MEM_REQ_UNPLUG,
  VIRTIO_MEM_REQ_UNPLUG_ALL,
  VIRTIO_MMIO_CONFIG,
  virtio_mem_config,
  virtio_mem_req,
  virtio_mem_resp,
} from '../abi.gen.ts';
import type { MemoryBackend } from '../mem/backend.ts';
import type { MemoryLayout } from '../mem/config-space.ts';
import { MemoryDevice } from '../mem/device.ts';
import { MockMachine, type MockQueue } from './mock-driver.ts';

/** A region of 16 blocks. */
export const LAYOUT: MemoryLayout = { address: 4 * GIB, size: 32 * MIB, blockSize: 2 * MIB };
export const BLOCK_COUNT: number = LAYOUT.size / LAYOUT.blockSize;
/** What can be requested of it. */
export const MAXIMUM_BLOCKS = 12;

/** Refuses what makes no sense, as the kernel would. */
export class FakeMemoryHost implements MemoryBackend {
  readonly plugged = new Set<number>();
  /** Blocks that it can neither plug nor unplug. */
  readonly broken = new Set<number>();

  plug(block: number): void {
    if (this.broken.has(block)) throw new Error(`block ${block} is broken`);
    if (this.plugged.has(block)) throw new RangeError(`block ${block} is plugged already`);
    this.plugged.add(block);
  }

  unplug(block: number): void {
    if (this.broken.has(block)) throw new Error(`block ${block} is broken`);
    if (!this.plugged.delete(block)) throw new RangeError(`block ${block} is not plugged`);
  }
}

const TYPES = {
  plug: VIRTIO_MEM_REQ_PLUG,
  unplug: VIRTIO_MEM_REQ_UNPLUG,
  'unplug-all': VIRTIO_MEM_REQ_UNPLUG_ALL,
  state: VIRTIO_MEM_REQ_STATE,
} as const;

/** A request for blocks from a guest address on, as a driver writes it. */
export function encodeRequest(type: number, address: bigint, count: number): Uint8Array {
  const bytes = new Uint8Array(virtio_mem_req.sizeof);
  const view = new DataView(bytes.buffer);
  view.setUint16(virtio_mem_req.type, type, true);
  view.setBigUint64(virtio_mem_req['u.plug.addr'], address, true);
  view.setUint16(virtio_mem_req['u.plug.nb_blocks'], count, true);
  return bytes;
}

export class MemoryGuest {
  readonly host: FakeMemoryHost = new FakeMemoryHost();
  readonly errors: unknown[] = [];
  readonly device: MemoryDevice;
  readonly machine: MockMachine;

  /** @param refuse features that the driver does not take */
  constructor(refuse: readonly number[] = []) {
    this.device = new MemoryDevice({
      backend: this.host,
      layout: LAYOUT,
      maximumSize: MAXIMUM_BLOCKS * LAYOUT.blockSize,
      onError: (error) => void this.errors.push(error),
    });
    this.machine = new MockMachine(this.device);
    this.machine.driver.start({ refuse });
  }

  get queue(): MockQueue {
    return this.machine.driver.queue(0);
  }

  /** Tells the device how many blocks the driver is to have. */
  want(blocks: number): void {
    this.device.request(blocks * LAYOUT.blockSize);
  }

  /** @returns the response's type, and of a state request the state */
  ask(kind: keyof typeof TYPES, first = 0, count = 0): readonly number[] {
    const address = BigInt(LAYOUT.address + first * LAYOUT.blockSize);
    return this.askRaw(encodeRequest(TYPES[kind], address, count)).slice(0, kind === 'state' ? 2 : 1);
  }

  askRaw(request: Uint8Array): readonly number[] {
    this.queue.push({ read: request }, { write: virtio_mem_resp.sizeof });
    this.queue.kick();
    this.machine.runDeferred();
    const [used] = this.queue.takeUsed();
    if (used === undefined) return [];
    const view = new DataView(used.bytes.buffer, used.bytes.byteOffset, used.bytes.length);
    return [view.getUint16(virtio_mem_resp.type, true), view.getUint16(virtio_mem_resp['u.state.state'], true)];
  }

  /** A field of the configuration space as the driver reads it now, in blocks. */
  blocksOf(field: 'plugged_size' | 'requested_size' | 'usable_region_size' | 'region_size'): number {
    const at = VIRTIO_MMIO_CONFIG + virtio_mem_config[field];
    return this.machine.driver.readRegister(at) / LAYOUT.blockSize;
  }
}
