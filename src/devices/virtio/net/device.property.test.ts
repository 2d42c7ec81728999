import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guestAddress } from '../../../lib/brand.ts';
import { MIB } from '../../../lib/units.ts';
import { GuestMemory } from '../../../memory/guest-memory.ts';
import {
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_RING_F_EVENT_IDX,
  virtio_net_hdr_v1,
  vring_desc,
} from '../abi.gen.ts';
import { type BufferPart, concatenate, writeDescriptor } from '../testing/mock-driver.ts';
import { FakeNetwork, NetGuest, netHeader } from '../testing/net-guest.ts';
import { NET_QUEUE } from './device.ts';
import { ETHERNET_HEADER_SIZE, HEADER_SIZE, MAX_FRAME_SIZE } from './packet.ts';

const GUARD = 4096;
const GUARD_BYTE = 0xe7;

/** RAM between two guards, in one buffer: a write outside it shows. */
function guardedMemory(length: number) {
  const all = new Uint8Array(length + 2 * GUARD).fill(GUARD_BYTE);
  const memory = new GuestMemory([
    { guestAddress: guestAddress(0), bytes: all.subarray(GUARD, GUARD + length).fill(0) },
  ]);
  const isIntact = () =>
    [all.subarray(0, GUARD), all.subarray(GUARD + length)].every((guard) => guard.every((byte) => byte === GUARD_BYTE));
  return { memory, isIntact };
}

const refusals = fc.subarray([
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_GUEST_TSO4,
]);
const u16 = fc.oneof(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 0, max: 0xffff }));
const header = fc
  .record({
    flags: fc.oneof(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 255 })),
    gsoType: fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 0x80, 0x81, 0x84), fc.integer({ min: 0, max: 255 })),
    headerLength: u16,
    gsoSize: u16,
    checksumStart: u16,
    checksumOffset: u16,
    bufferCount: u16,
  })
  .map(netHeader);
/** By its length, so that a counterexample can be read. */
const frameSize = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 70_000 }));
const PATTERN = Uint8Array.from({ length: 80_000 }, (_, index) => (index * 31) >> 3);

/** Bytes that are not those of the next frame of the same length. */
function frameOf(length: number, seed: number): Uint8Array {
  return PATTERN.slice(seed, seed + length);
}

/** Cuts bytes into parts of a chain, none of them empty. */
function cut(bytes: Uint8Array, at: readonly number[]): BufferPart[] {
  const places = [...new Set([0, ...at.map((place) => place % bytes.length), bytes.length])].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => ({ read: bytes.slice(places[index], end) }));
}

test('every frame of the guest is sent whole or dropped, in order, with a header that the network can believe', () => {
  fc.assert(
    fc.property(
      refusals,
      fc.array(fc.tuple(header, frameSize, fc.array(fc.nat(), { maxLength: 4 })), { minLength: 1, maxLength: 6 }),
      (refuse, sizes) => {
        const guest = new NetGuest({ refuse });
        const frames = sizes.map(([head, size, places], seed) => [head, frameOf(size, seed), places] as const);
        for (const [head, bytes, places] of frames) guest.sendParts(...cut(concatenate([head, bytes]), places));

        expect(guest.returned).toBe(frames.length);
        expect(guest.machine.failures).toEqual([]);
        const counts = guest.device.metrics();
        expect(Number(counts['sent_packets']) + Number(counts['sent_dropped_packets'])).toBe(frames.length);
        let next = 0;
        for (const sent of guest.network.sent) {
          while (next < frames.length && !isSame(frames[next]?.[1], sent.frame)) next += 1;
          expect(next).toBeLessThan(frames.length);
          next += 1;
          expectPlausible(sent.header, sent.frame.length);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

function isSame(bytes: Uint8Array | undefined, others: Uint8Array): boolean {
  return bytes !== undefined && Buffer.compare(bytes, others) === 0;
}

function expectPlausible(bytes: Uint8Array, frameSize: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const get = (offset: number): number => view.getUint16(offset, true);
  const flags = view.getUint8(virtio_net_hdr_v1.flags);
  expect(frameSize).toBeGreaterThanOrEqual(ETHERNET_HEADER_SIZE);
  expect(frameSize).toBeLessThanOrEqual(MAX_FRAME_SIZE);
  expect(flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM).toBe(0);
  expect(get(virtio_net_hdr_v1.num_buffers)).toBe(0);
  const checksumEnd =
    flags === 0
      ? 0
      : get(virtio_net_hdr_v1.csum_start) + get(virtio_net_hdr_v1.csum_offset) + Uint16Array.BYTES_PER_ELEMENT;
  expect(checksumEnd).toBeLessThanOrEqual(frameSize);
  const isWhole = view.getUint8(virtio_net_hdr_v1.gso_type) === VIRTIO_NET_HDR_GSO_NONE;
  expect(isWhole || (flags !== 0 && get(virtio_net_hdr_v1.gso_size) > 0)).toBe(true);
}

test('whatever buffers a guest gives, frames arrive whole and in order, or are dropped', () => {
  const buffer = fc.array(fc.oneof(fc.integer({ min: 12, max: 64 }), fc.constantFrom(1536, 4096, 65_565)), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(
      refusals,
      fc.array(fc.tuple(fc.array(buffer, { maxLength: 6 }), fc.array(frameSize, { maxLength: 4 })), { maxLength: 5 }),
      fc.constantFrom(8, 16, 64),
      (refuse, rounds, queueSize) => {
        const guest = new NetGuest({ refuse, queueSize, memorySize: 4 * MIB });
        const queue = guest.machine.driver.queue(NET_QUEUE.receive);
        const arrived: Uint8Array[] = [];
        const sent: Uint8Array[] = [];
        for (const [buffers, sizes] of rounds) {
          const frames = sizes.map((size, seed) => frameOf(size, sent.length + seed));
          sent.push(...frames);
          for (const parts of buffers) if (queue.freeDescriptors >= parts.length) guest.offer(1, ...parts);
          guest.network.arrive(...frames);
          arrived.push(...guest.receive().map((received) => received.frame));
        }

        expect(guest.machine.failures).toEqual([]);
        const { received_packets: received, received_dropped_packets: dropped } = guest.device.metrics();
        expect(received).toBe(arrived.length);
        expect(Number(received) + Number(dropped) + guest.network.pending).toBe(sent.length);
        let next = 0;
        for (const bytes of arrived) {
          while (next < sent.length && !isSame(sent[next], bytes)) next += 1;
          expect(next).toBeLessThan(sent.length);
          next += 1;
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('arbitrary descriptors fail the device or are answered, and memory outside RAM stays', () => {
  const descriptor = fc.record({
    address: fc.oneof(fc.integer({ min: 0, max: MIB }).map(BigInt), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    length: fc.oneof(fc.constantFrom(1, 2, 12, 13, 60, 1514, 65_600), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      refusals,
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      fc.constantFrom(NET_QUEUE.receive, NET_QUEUE.transmit, NET_QUEUE.control),
      fc.constantFrom('nothing', 'reset', 'full', 'down'),
      (refuse, table, heads, queueIndex, event) => {
        const { memory, isIntact } = guardedMemory(256 * 1024);
        const network = new FakeNetwork();
        const guest = new NetGuest({ network, refuse, memory, queueSize: 8 });
        const queue = guest.machine.driver.queue(queueIndex);
        network.isFull = event === 'full';
        network.arrive(new Uint8Array(60), new Uint8Array(20_000), new Uint8Array(HEADER_SIZE));
        for (const [index, fields] of table.entries()) {
          writeDescriptor(memory, queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) queue.pushHead(head);
        queue.kick();
        if (event === 'reset') guest.machine.driver.reset();
        if (event === 'down') guest.device.setLink(false);
        network.isFull = false;
        network.tell();
        guest.machine.runDeferred();
        network.tell();

        expect(['active', 'failed', 'inactive']).toContain(guest.machine.transport.state.kind);
        expect(network.isAwaited && guest.machine.transport.state.kind !== 'active').toBe(false);
        expect(isIntact()).toBe(true);
      },
    ),
    { numRuns: 3000 },
  );
});
