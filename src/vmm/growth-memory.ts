// RAM that a guest gets and gives back while it runs: one mapping, which back ends know whole, and of which the guest's
// processors see only the blocks that are plugged, a memory slot of KVM for each. A slot cannot be resized under a guest that
// runs, so each block has its own.
import type { GrowthRegion } from '../arch/x86_64/layout.ts';
import type { MemoryBackend } from '../devices/virtio/mem/backend.ts';
import type { HostMemory, VirtualMachine } from '../hypervisor/ports.ts';
import { guestAddress } from '../lib/brand.ts';

/** Memory slots of KVM: those below are RAM that is always there, and pages of registers. */
const FIRST_BLOCK_SLOT = 64;

/** How many memory slots a VM needs whose region has all its blocks plugged. */
export function slotsNeeded({ size, blockSize }: GrowthRegion): number {
  return FIRST_BLOCK_SLOT + size / blockSize;
}

type SlotHolder = Pick<VirtualMachine, 'setMemorySlot' | 'removeMemorySlot'>;

export class GrowthMemory implements MemoryBackend {
  readonly region: GrowthRegion;
  /** Of all the region; pages that nobody touched cost nothing. */
  readonly host: HostMemory;
  readonly #machine: SlotHolder;
  #onFirstPlug: (() => void) | undefined;

  constructor(machine: SlotHolder, region: GrowthRegion, host: HostMemory) {
    this.#machine = machine;
    this.region = region;
    this.host = host;
  }

  /** Calls a function before the first block is plugged: what the region costs us may wait until then. */
  onFirstPlug(action: () => void): void {
    this.#onFirstPlug = action;
  }

  plug(block: number): void {
    this.#onFirstPlug?.();
    this.#onFirstPlug = undefined;
    const { address, blockSize } = this.region;
    const offset = block * blockSize;
    this.#machine.setMemorySlot(FIRST_BLOCK_SLOT + block, guestAddress(address + offset), {
      bytes: this.host.bytes.subarray(offset, offset + blockSize),
      hostAddress: this.host.hostAddress + BigInt(offset),
    });
  }

  unplug(block: number): void {
    const { blockSize } = this.region;
    // The guest first: what it would write behind the host's back would stay.
    this.#machine.removeMemorySlot(FIRST_BLOCK_SLOT + block);
    try {
      this.host.discard(block * blockSize, blockSize);
    } catch (error) {
      this.plug(block);
      throw error;
    }
  }
}
