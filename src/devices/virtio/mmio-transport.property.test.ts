import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as abi from './abi.gen.ts';
import { COALESCABLE_REGISTERS } from './mmio-transport.ts';
import { EchoDevice } from './testing/echo-device.ts';
import { MockMachine } from './testing/mock-driver.ts';

const REGISTERS = [
  ...COALESCABLE_REGISTERS,
  abi.VIRTIO_MMIO_DEVICE_FEATURES_SEL,
  abi.VIRTIO_MMIO_QUEUE_SEL,
  abi.VIRTIO_MMIO_QUEUE_READY,
  abi.VIRTIO_MMIO_QUEUE_NOTIFY,
  abi.VIRTIO_MMIO_INTERRUPT_ACK,
  abi.VIRTIO_MMIO_STATUS,
  abi.VIRTIO_MMIO_STATUS,
];
/** Values that mean something somewhere, so that sequences get through to a running device. */
const VALUES = [0, 1, 2, 3, 4, 8, 11, 15, 16, 0x4f, 0x8f, 0x1000, 0x2000, 0x3000, 0x3000_0000, 0xffff_ffff];

const registerWrite = fc.record({
  offset: fc.constantFrom(...REGISTERS),
  bytes: fc
    .oneof({ weight: 9, arbitrary: fc.constantFrom(...VALUES) }, fc.integer({ min: 0, max: 0xffff_ffff }))
    .map((value) => new Uint8Array(new Uint32Array([value]).buffer)),
});
const anyWrite = fc.record({
  offset: fc.integer({ min: 0, max: 4095 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});
const writes = fc.array(fc.oneof({ weight: 9, arbitrary: registerWrite }, anyWrite), { maxLength: 60 });

const READ_ONLY = [abi.VIRTIO_MMIO_MAGIC_VALUE, abi.VIRTIO_MMIO_VERSION, abi.VIRTIO_MMIO_DEVICE_ID];

test('no sequence of writes throws, changes a read-only register or leaves two activations', () => {
  fc.assert(
    fc.property(writes, fc.boolean(), (sequence, started) => {
      const device = new EchoDevice();
      const machine = new MockMachine(device, { memorySize: 64 * 1024 });
      const identity = READ_ONLY.map((register) => machine.driver.readRegister(register));
      if (started) machine.driver.start();
      for (const { offset, bytes } of sequence) machine.transport.write(offset, bytes);
      machine.runDeferred();
      expect(READ_ONLY.map((register) => machine.driver.readRegister(register))).toEqual(identity);
      expect(device.activeCount).toBe(machine.transport.state.kind === 'active' ? 1 : 0);
      machine.driver.reset();
      expect(machine.driver.status).toBe(0);
      expect(device.activeCount).toBe(0);
    }),
    { numRuns: 3000 },
  );
});

test('garbage in all of guest memory never gets out of the transport', () => {
  fc.assert(
    fc.property(
      fc.infiniteStream(fc.integer({ min: 0, max: 0xffff_ffff })),
      fc.integer({ min: 1, max: 4 }),
      (stream, kicks) => {
        const machine = new MockMachine(new EchoDevice(), { memorySize: 32 * 1024 });
        machine.driver.start({ queueSize: 8 });
        const { descriptorTable, availableRing } = machine.driver.queue(0);
        for (let word = 0; word < 32; word++) machine.memory.writeU32(descriptorTable + 4 * word, stream.next().value);
        for (let word = 0; word < 5; word++) machine.memory.writeU32(availableRing + 4 * word, stream.next().value);
        for (let kick = 0; kick < kicks; kick++) machine.driver.queue(0).kick();
        machine.runDeferred();
        expect(['active', 'failed']).toContain(machine.transport.state.kind);
      },
    ),
    { numRuns: 2000 },
  );
});
