import { expect, test } from 'vitest';
import { VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET } from '../abi.gen.ts';
import { featureSet } from '../features.ts';
import { MockMachine } from '../testing/mock-driver.ts';
import { RecordingServer } from '../testing/recording-server.ts';
import { VSOCK_QUEUE } from './device.ts';
import { VhostVsockDevice } from './vhost-device.ts';

/** A bit that a driver of a socket device has no use for. */
const FOREIGN = 27;

const FEATURES = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, FOREIGN);

function machine() {
  const backend = new RecordingServer(FEATURES);
  const device = new VhostVsockDevice({ guestCid: 7, backend });
  return { backend, device, mock: new MockMachine(device) };
}

test('a socket device of the kernel tells the address and offers what the kernel knows', () => {
  const { device } = machine();
  expect(new DataView(device.configurationSpace.buffer).getBigUint64(0, true)).toBe(7n);
  expect(device.features).toBe(featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX));
});

test('an address that is reserved is refused', () => {
  expect(() => new VhostVsockDevice({ guestCid: 2, backend: new RecordingServer(FEATURES) })).toThrow(RangeError);
});

test('the kernel serves as long as there is a driver', () => {
  const { backend, mock } = machine();
  mock.driver.start({ queueSize: 16 });
  mock.driver.reset();
  expect(backend.log).toEqual(['start', 'stop']);
});

test('a driver that goes on from a snapshot is told that its connections are gone, once', async () => {
  const { mock } = machine();
  mock.driver.start({ queueSize: 16 });
  const events = mock.driver.queue(VSOCK_QUEUE.event);
  events.push({ write: 4 });
  events.push({ write: 4 });
  const backend = new RecordingServer(FEATURES);

  const moved = await mock.moveTo(new VhostVsockDevice({ guestCid: 7, backend }));
  moved.transport.resume();
  const [event, ...others] = events.takeUsed();
  await moved.transport.quiesce();
  moved.transport.resume();

  expect(new DataView(event?.bytes.buffer ?? new ArrayBuffer(4)).getUint32(0, true)).toBe(
    VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
  );
  expect(event?.written).toBe(4);
  expect(others).toEqual([]);
  expect(events.takeUsed()).toEqual([]);
  expect(backend.log).toEqual(['start', 'resume', 'quiesce', 'resume']);
});

test('a driver without a buffer for events goes on too', async () => {
  const { mock } = machine();
  mock.driver.start({ queueSize: 16 });
  const moved = await mock.moveTo(new VhostVsockDevice({ guestCid: 7, backend: new RecordingServer(FEATURES) }));
  moved.transport.resume();
  expect(moved.transport.state.kind).toBe('active');
});
