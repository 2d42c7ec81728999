import { expect, test } from 'vitest';
import { kvm_coalesced_mmio, kvm_coalesced_mmio_ring } from './abi.gen.ts';
import { CoalescedRing } from './coalesced-ring.ts';

const CAPACITY = Math.floor((4096 - kvm_coalesced_mmio_ring.coalesced_mmio) / kvm_coalesced_mmio.sizeof);

function ringWith(first: number, writes: readonly { address: number; data: number[] }[]): Uint8Array {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  for (const [index, { address, data }] of writes.entries()) {
    const slot = (first + index) % CAPACITY;
    const entry = kvm_coalesced_mmio_ring.coalesced_mmio + slot * kvm_coalesced_mmio.sizeof;
    view.setBigUint64(entry + kvm_coalesced_mmio.phys_addr, BigInt(address), true);
    view.setUint32(entry + kvm_coalesced_mmio.len, data.length, true);
    page.set(data, entry + kvm_coalesced_mmio.data);
  }
  view.setUint32(kvm_coalesced_mmio_ring.first, first, true);
  view.setUint32(kvm_coalesced_mmio_ring.last, (first + writes.length) % CAPACITY, true);
  return page;
}

test('an empty ring has no next write', () => {
  const ring = new CoalescedRing(ringWith(5, []));

  expect(ring.next()).toBeUndefined();
});

test('writes come in order, across the end of the page', () => {
  const writes = [
    { address: 0xd000_0000, data: [1] },
    { address: 0xd000_0004, data: [2, 3] },
    { address: 0xd000_0008, data: [4, 5, 6, 7, 8, 9, 10, 11] },
  ];
  const ring = new CoalescedRing(ringWith(CAPACITY - 1, writes));

  const read = [ring.next(), ring.next(), ring.next(), ring.next()];

  expect(read).toEqual([
    ...writes.map(({ address, data }) => ({ kind: 'mmio-write', address, data: Uint8Array.from(data) })),
    undefined,
  ]);
});
