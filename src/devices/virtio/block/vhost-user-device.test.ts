import { describe, expect, test } from 'vitest';
import {
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_F_VERSION_1,
  virtio_blk_config,
} from '../abi.gen.ts';
import { featureSet, hasFeature } from '../features.ts';
import { MockMachine } from '../testing/mock-driver.ts';
import { RecordingServer } from '../testing/recording-server.ts';
import { type VhostUserBlockBackend, VhostUserBlockDevice } from './vhost-user-device.ts';

const FEATURES = [VIRTIO_F_VERSION_1, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_SIZE_MAX];

/** A back end like qemu-storage-daemon's, with a cache mode of writethrough and no largest segment. */
class RecordingBackend extends RecordingServer implements VhostUserBlockBackend {
  constructor(...more: number[]) {
    super(featureSet(...FEATURES, ...more));
  }

  readConfiguration(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setBigUint64(virtio_blk_config.capacity, 2048n, true);
    return bytes;
  }

  writeConfiguration(offset: number, bytes: Uint8Array): void {
    this.log.push(`write ${offset} ${bytes}`);
  }
}

function machine(...more: number[]) {
  const backend = new RecordingBackend(...more);
  const device = new VhostUserBlockDevice({ name: 'disk', backend });
  return { backend, device, mock: new MockMachine(device) };
}

describe('a block device of a program', () => {
  test('has the configuration space of the program', () => {
    const { device } = machine();
    expect(new DataView(device.configurationSpace.buffer).getBigUint64(virtio_blk_config.capacity, true)).toBe(2048n);
  });

  test('offers neither several queues nor a largest segment of no bytes', () => {
    const { device } = machine(VIRTIO_BLK_F_MQ);
    expect(hasFeature(device.features, VIRTIO_BLK_F_MQ)).toBe(false);
    expect(hasFeature(device.features, VIRTIO_BLK_F_SIZE_MAX)).toBe(false);
  });

  test('is read-only when the program says so', () => {
    expect(machine().device.isReadOnly).toBe(false);
    expect(machine(VIRTIO_BLK_F_RO).device.isReadOnly).toBe(true);
  });

  test('begins with writeback, so that the driver flushes', () => {
    const { backend, device } = machine();
    expect(device.configurationSpace[virtio_blk_config.wce]).toBe(1);
    expect(backend.log).toEqual([`write ${virtio_blk_config.wce} 1`]);
  });

  test('passes on the cache mode that the driver chooses, and nothing else, and takes it back with the driver', () => {
    const { backend, device, mock } = machine();
    mock.driver.start({ queueSize: 64 });
    device.writeConfiguration(0, Uint8Array.of(9));
    device.writeConfiguration(virtio_blk_config.wce, Uint8Array.of(0));
    mock.driver.reset();
    const { wce } = virtio_blk_config;
    expect(backend.log).toEqual([`write ${wce} 1`, 'start', `write ${wce} 0`, 'stop', `write ${wce} 1`]);
  });

  test('writes through for a driver that cannot flush', () => {
    const { backend, mock } = machine();
    mock.driver.start({ queueSize: 64, refuse: [VIRTIO_BLK_F_FLUSH] });
    expect(backend.log).toEqual([`write ${virtio_blk_config.wce} 1`, `write ${virtio_blk_config.wce} 0`, 'start']);
  });

  test('goes on from a snapshot with the cache mode that it had', async () => {
    const first = machine();
    first.mock.driver.start({ queueSize: 64 });
    first.device.writeConfiguration(virtio_blk_config.wce, Uint8Array.of(0));
    const backend = new RecordingBackend();
    const second = new VhostUserBlockDevice({ name: 'disk', backend });
    await first.mock.moveTo(second);
    expect(second.configurationSpace[virtio_blk_config.wce]).toBe(0);
    expect(backend.log).toEqual([`write ${virtio_blk_config.wce} 1`, `write ${virtio_blk_config.wce} 0`, 'start']);
  });
});
