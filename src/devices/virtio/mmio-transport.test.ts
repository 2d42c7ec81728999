import { describe, expect, test } from 'vitest';
import { PAGE_SIZE } from '../../lib/units.ts';
import * as abi from './abi.gen.ts';
import { featureSet } from './features.ts';
import { COALESCABLE_REGISTERS } from './mmio-transport.ts';
import { STATUS } from './status.ts';
import { EchoDevice } from './testing/echo-device.ts';
import { MODERN, MockMachine } from './testing/mock-driver.ts';
import { TransportError } from './transport-error.ts';

function machine(): { device: EchoDevice; machine: MockMachine } {
  const device = new EchoDevice();
  return { device, machine: new MockMachine(device) };
}

describe('registers', () => {
  test('tell what the device is', () => {
    const { driver } = machine().machine;
    expect(driver.readRegister(abi.VIRTIO_MMIO_MAGIC_VALUE)).toBe(0x74726976);
    expect(driver.readRegister(abi.VIRTIO_MMIO_VERSION)).toBe(2);
    expect(driver.readRegister(abi.VIRTIO_MMIO_DEVICE_ID)).toBe(abi.VIRTIO_ID_CONSOLE);
  });

  test('of shared memory read as all ones: there is none', () => {
    const { driver } = machine().machine;
    for (const register of [abi.VIRTIO_MMIO_SHM_LEN_LOW, abi.VIRTIO_MMIO_SHM_LEN_HIGH, abi.VIRTIO_MMIO_SHM_BASE_LOW]) {
      expect(driver.readRegister(register)).toBe(0xffff_ffff);
    }
  });

  test('show the features by halves, and none beyond 64', () => {
    const { driver } = machine().machine;
    expect(driver.offeredFeatures()).toBe(new EchoDevice().features);
    driver.writeRegister(abi.VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    expect(driver.readRegister(abi.VIRTIO_MMIO_DEVICE_FEATURES)).toBe(0);
  });

  test('show each queue, and none beyond the last', () => {
    const { driver } = machine().machine;
    const sizes = [0, 1, 2, 0xffff_ffff].map((index) => {
      driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_SEL, index);
      return driver.readRegister(abi.VIRTIO_MMIO_QUEUE_NUM_MAX);
    });
    expect(sizes).toEqual([16, 8, 0, 0]);
  });

  test('ignore writes that are not 32 bits wide and aligned', () => {
    const { transport, driver } = machine().machine;
    transport.write(abi.VIRTIO_MMIO_STATUS, Uint8Array.of(1));
    transport.write(abi.VIRTIO_MMIO_STATUS + 2, Uint8Array.of(1, 0, 0, 0));
    expect(driver.status).toBe(0);
  });

  test.each(COALESCABLE_REGISTERS.map((register) => [register.toString(16), register]))(
    'a write to 0x%s, which may be coalesced, changes nothing that can be read',
    (_, register) => {
      const { driver, transport } = machine().machine;
      driver.agreeOnFeatures(MODERN);
      const before = transport.page.slice();
      driver.writeRegister(register, 8);
      expect(transport.page).toEqual(before);
    },
  );
});

describe('initialisation', () => {
  test('goes through every step to a device that works', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    expect(mock.driver.status).toBe(STATUS.running);
    expect(device.context?.features).toBe(device.features);
    expect(device.context?.queues.map((queue) => queue?.size)).toEqual([16, 8]);
    expect(mock.transport.state.kind).toBe('active');
  });

  test('refuses features that were not offered', () => {
    const { driver } = machine().machine;
    expect(driver.agreeOnFeatures(MODERN | featureSet(3))).toBe(false);
    expect(driver.status).toBe(STATUS.driverFound);
  });

  test('refuses a driver that does not know VIRTIO_F_VERSION_1', () => {
    expect(machine().machine.driver.agreeOnFeatures(0n)).toBe(false);
  });

  test('ignores steps out of order', () => {
    const { driver } = machine().machine;
    driver.writeStatus(STATUS.running);
    driver.writeStatus(STATUS.featuresAgreed);
    driver.writeStatus(abi.VIRTIO_CONFIG_S_DRIVER);
    expect(driver.status).toBe(0);
  });

  test('takes ACKNOWLEDGE and DRIVER in one write', () => {
    const { driver } = machine().machine;
    driver.writeStatus(STATUS.driverFound);
    expect(driver.status).toBe(STATUS.driverFound);
  });

  test('refuses a queue larger than offered', () => {
    const { driver, failures } = machine().machine;
    driver.agreeOnFeatures(MODERN);
    driver.setUpQueue(1, 16);
    expect(driver.readRegister(abi.VIRTIO_MMIO_QUEUE_READY)).toBe(0);
    expect(failures[0]).toBeInstanceOf(TransportError);
    expect(driver.status & abi.VIRTIO_CONFIG_S_NEEDS_RESET).not.toBe(0);
  });

  test('allows a queue to be taken back before DRIVER_OK', () => {
    const { device, machine: mock } = machine();
    mock.driver.agreeOnFeatures(MODERN);
    mock.driver.setUpQueue(0, 4);
    mock.driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_READY, 0);
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_QUEUE_READY)).toBe(0);
    mock.driver.writeStatus(STATUS.running);
    expect(device.context?.queues[0]).toBeUndefined();
  });
});

describe('at work', () => {
  test('a buffer goes to the device and back, and the driver is interrupted', () => {
    const { machine: mock } = machine();
    mock.driver.start();
    const queue = mock.driver.queue(0);
    queue.push({ read: Uint8Array.of(1, 2, 3) }, { write: 8 });
    queue.kick();
    expect(queue.takeUsed().map((used) => used.bytes)).toEqual([Uint8Array.of(1, 2, 3)]);
    expect(mock.interrupts).toBe(1);
  });

  test('interrupts are one edge for a batch, and the used buffer bit is set', () => {
    const { machine: mock } = machine();
    mock.driver.start();
    const queue = mock.driver.queue(0);
    queue.push({ read: Uint8Array.of(1) });
    queue.push({ read: Uint8Array.of(2) });
    queue.kick();
    expect(mock.interrupts).toBe(1);
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS)).toBe(abi.VIRTIO_MMIO_INT_VRING);
  });

  test('a driver that refills as fast as it is served gets one ring per turn', () => {
    const { machine: mock } = machine();
    mock.driver.start();
    const queue = mock.driver.queue(1);
    for (let index = 0; index < 8; index++) queue.push({ read: Uint8Array.of(index) });
    queue.kick();
    expect(queue.takeUsed()).toHaveLength(8);
    queue.push({ read: Uint8Array.of(9) });
    expect(queue.takeUsed()).toHaveLength(0);
    expect(mock.runDeferred()).toBe(1);
    expect(queue.takeUsed()).toHaveLength(1);
  });

  test('a broken ring puts the device into DEVICE_NEEDS_RESET and tells the driver', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    mock.driver.queue(0).pushHead(99);
    mock.driver.queue(0).kick();
    expect(mock.driver.status).toBe(STATUS.running | abi.VIRTIO_CONFIG_S_NEEDS_RESET);
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS) & abi.VIRTIO_MMIO_INT_CONFIG).not.toBe(0);
    expect(mock.interrupts).toBe(1);
    expect(mock.failures.map((failure) => failure.name)).toEqual(['QueueError']);
    expect(device.activeCount).toBe(0);
  });

  test('a reset ends the work and a new driver can start', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    const stale = device.context;
    mock.driver.start();
    expect(device.activeCount).toBe(1);
    stale?.interrupt.usedBuffer(0);
    stale?.fail(new Error('too late'));
    stale?.guard(() => {
      throw new Error('too late');
    });
    expect(mock.driver.status).toBe(STATUS.running);
    expect(mock.interrupts).toBe(0);
  });

  test('a reset after a failure brings the device back', () => {
    const { machine: mock } = machine();
    mock.driver.start();
    mock.driver.queue(0).pushHead(99);
    mock.driver.queue(0).kick();
    mock.driver.start();
    expect(mock.transport.state.kind).toBe('active');
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS)).toBe(abi.VIRTIO_MMIO_INT_VRING);
  });

  test('FAILED ends the work', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    mock.driver.writeStatus(STATUS.running | abi.VIRTIO_CONFIG_S_FAILED);
    expect(device.activeCount).toBe(0);
    expect(mock.driver.status & abi.VIRTIO_CONFIG_S_FAILED).not.toBe(0);
  });

  test('stopping one queue of a running device fails the device', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    mock.driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_SEL, 0);
    mock.driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_READY, 0);
    expect(mock.transport.state.kind).toBe('failed');
    expect(device.activeCount).toBe(0);
  });
});

describe('the configuration space', () => {
  test('is read from the page, and written within its bounds only', () => {
    const { transport } = machine().machine;
    transport.write(abi.VIRTIO_MMIO_CONFIG + 2, Uint8Array.of(9, 9));
    transport.write(abi.VIRTIO_MMIO_CONFIG + 7, Uint8Array.of(9, 9));
    transport.write(PAGE_SIZE - 1, Uint8Array.of(9, 9, 9, 9));
    expect(transport.read(abi.VIRTIO_MMIO_CONFIG, 8)).toEqual(Uint8Array.of(1, 2, 9, 9, 5, 6, 7, 8));
  });

  test('changes with its generation, its interrupt bit and an interrupt; the bit is acknowledged at once', () => {
    const { device, machine: mock } = machine();
    mock.driver.start();
    const generation = mock.driver.readRegister(abi.VIRTIO_MMIO_CONFIG_GENERATION);
    device.configurationSpace[0] = 42;
    device.context?.interrupt.configurationChange();
    expect(mock.transport.read(abi.VIRTIO_MMIO_CONFIG, 1)).toEqual(Uint8Array.of(42));
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_CONFIG_GENERATION)).not.toBe(generation);
    expect(mock.interrupts).toBe(1);
    mock.driver.writeRegister(abi.VIRTIO_MMIO_INTERRUPT_ACK, 3);
    expect(mock.driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS)).toBe(abi.VIRTIO_MMIO_INT_VRING);
  });
});
