// Rings that a real processor changes while a device reads them. What it finds is different each time; what must hold is not.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { vring_avail, vring_desc } from '../../src/devices/virtio/abi.gen.ts';
import { MockMachine } from '../../src/devices/virtio/testing/mock-driver.ts';
import { BareGuest } from '../../src/hypervisor/kvm/bare-guest.ts';
import { KvmHypervisor } from '../../src/hypervisor/kvm/hypervisor.ts';
import { GUEST_LIMIT_MS, hasKvm } from '../../src/hypervisor/testing/kvm.ts';
import { guestAddress } from '../../src/lib/brand.ts';
import { KIB, MIB } from '../../src/lib/units.ts';
import { GuestMemory } from '../../src/memory/guest-memory.ts';
import type { Subject } from './subject.ts';
import { SUBJECTS } from './subjects.ts';

/** The device's RAM is the upper half of the bare guest's; addresses in it count from there. */
const RAM_OFFSET = MIB;
const QUEUE_SIZE = 8;
/** Descriptors point here, and lengths stay below 8 KiB. */
const BUFFER = 512 * KIB;
const BUFFER_SIZE = 16 * KIB;
/** What a race has at least. */
const TURNS = 2000;
const RESETS = 5;

const u32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];

/** Changes lengths, flags and links of two descriptors, and moves the available index on, for ever. */
function churningCode(descriptors: number, availableRing: number): Uint8Array {
  const [first, second] = [0, vring_desc.sizeof].map((offset) => RAM_OFFSET + descriptors + offset) as [number, number];
  const code = [
    ...[0x66, 0xff, 0x04, 0x25, ...u32(RAM_OFFSET + availableRing + vring_avail.idx)], // incw index
    ...[0x81, 0x34, 0x25, ...u32(first + vring_desc.len), ...u32(0xfff)], // xorl $0xfff, length
    ...[0x66, 0x83, 0x34, 0x25, ...u32(first + vring_desc.flags), 3], // xorw $3, flags
    ...[0x66, 0x83, 0x34, 0x25, ...u32(first + vring_desc.next), 1], // xorw $1, next
    ...[0x81, 0x34, 0x25, ...u32(second + vring_desc.len), ...u32(0xfff)],
    ...[0x66, 0x83, 0x34, 0x25, ...u32(second + vring_desc.flags), 3],
  ];
  return Uint8Array.from([...code, 0xeb, 256 - (code.length + 2)]); // jmp to the start
}

async function race({ create, eagerQueue }: Subject) {
  const tested = create();
  using hypervisor = KvmHypervisor.open();
  using guest = new BareGuest(hypervisor, { mode: 'long', code: new Uint8Array() });
  const ram = guest.memory.bytes.subarray(RAM_OFFSET);
  const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: ram }]);
  const machine = new MockMachine(tested.device, { memory });
  const { driver, transport } = machine;
  const restart = (): void => {
    driver.start({ queueSize: QUEUE_SIZE });
    const queue = driver.queue(eagerQueue);
    for (const [index, length] of [1024, 513].entries()) {
      queue.writeDescriptor(index, { address: BigInt(BUFFER + index * 8 * KIB), length, flags: 0, next: 1 });
    }
  };
  restart();
  const { descriptorTable, availableRing } = driver.queue(eagerQueue);
  const rings = driver.allocate(16);
  guest.memory.bytes.set(churningCode(descriptorTable, availableRing), 0x1_0000);
  ram.fill(0x5a, rings, BUFFER);
  ram.fill(0x5a, BUFFER + BUFFER_SIZE);
  const counts = { turns: 0, resets: 0 };
  const isLongEnough = () => counts.turns >= TURNS && counts.resets >= RESETS;
  let hasEnded = false;
  const end = guest
    .run(() => !isLongEnough(), GUEST_LIMIT_MS)
    .finally(() => {
      hasEnded = true;
    });
  while (!isLongEnough() && !hasEnded) {
    driver.queue(eagerQueue).kick();
    tested.act(1, 64);
    machine.runDeferred();
    if (transport.state.kind === 'failed') {
      counts.resets += 1;
      restart();
    }
    counts.turns += 1;
    await setImmediate();
  }
  guest.vcpu.kick();
  await end;
  tested.release();
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) {
      machine.runDeferred();
      await setImmediate();
    }
  };
  await settle();
  const untouched = [ram.subarray(rings, BUFFER), ram.subarray(BUFFER + BUFFER_SIZE)];
  const isUntouched = untouched.every((part) => part.every((byte) => byte === 0x5a));
  driver.reset();
  await settle();
  driver.start({ queueSize: QUEUE_SIZE });
  return { isUntouched, works: await tested.use(driver, settle) };
}

describe.skipIf(!hasKvm())('rings that another processor changes', () => {
  // The file system's queues are served outside of its device.
  test.each(SUBJECTS.filter(({ bell }) => bell === undefined).map((subject) => [subject.name, subject] as const))(
    '%s: nothing is written elsewhere, and it works again',
    async (_, subject) => {
      const { isUntouched, works } = await race(subject);

      expect(isUntouched).toBe(true);
      expect(works).toBe(true);
    },
  );
});
