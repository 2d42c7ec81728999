// The ring in which KVM collects MMIO writes that need not exit at once (KVM_REGISTER_COALESCED_MMIO).
import type { VmExit } from '../ports.ts';
import { kvm_coalesced_mmio, kvm_coalesced_mmio_ring } from './abi.gen.ts';

/**
 * Reads the ring, which is a page. One ring serves the whole VM; every vCPU maps it.
 * KVM writes an entry before it moves `last`; only this side moves `first`.
 */
export class CoalescedRing {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #capacity: number;

  constructor(page: Uint8Array) {
    this.#bytes = page;
    this.#view = new DataView(page.buffer, page.byteOffset, page.length);
    this.#capacity = Math.floor((page.length - kvm_coalesced_mmio_ring.coalesced_mmio) / kvm_coalesced_mmio.sizeof);
  }

  /** Takes the oldest write out; its data is a copy. @returns undefined when there is none */
  next(): (VmExit & { readonly kind: 'mmio-write' }) | undefined {
    const first = this.#view.getUint32(kvm_coalesced_mmio_ring.first, true);
    if (first === this.#view.getUint32(kvm_coalesced_mmio_ring.last, true)) return undefined;
    const entry = kvm_coalesced_mmio_ring.coalesced_mmio + first * kvm_coalesced_mmio.sizeof;
    const address = Number(this.#view.getBigUint64(entry + kvm_coalesced_mmio.phys_addr, true));
    const length = this.#view.getUint32(entry + kvm_coalesced_mmio.len, true);
    const start = entry + kvm_coalesced_mmio.data;
    const data = this.#bytes.slice(start, start + length);
    this.#view.setUint32(kvm_coalesced_mmio_ring.first, (first + 1) % this.#capacity, true);
    return { kind: 'mmio-write', address, data };
  }
}
