import { describe, expect, test } from 'vitest';
import { VIRTIO_F_VERSION_1, VIRTIO_ID_FS, VIRTIO_RING_F_INDIRECT_DESC } from '../abi.gen.ts';
import { featureSet } from '../features.ts';
import { MockMachine } from '../testing/mock-driver.ts';
import { RecordingServer } from '../testing/recording-server.ts';
import type { FsBackend } from './backend.ts';
import { FsDevice } from './device.ts';

class RecordingBackend extends RecordingServer implements FsBackend {
  constructor() {
    super(featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_INDIRECT_DESC, 5));
  }

  saveState(): string {
    return 'open files';
  }

  restoreState(state: string): void {
    this.log.push(`restore ${state}`);
  }
}

function machine(requestQueues?: number) {
  const backend = new RecordingBackend();
  const device = new FsDevice({ tag: 'shared', backend, ...(requestQueues === undefined ? {} : { requestQueues }) });
  return { backend, device, mock: new MockMachine(device) };
}

describe('the file system device', () => {
  test('tells its tag and its request queues', () => {
    const { device } = machine(3);
    expect(device.deviceId).toBe(VIRTIO_ID_FS);
    expect(new TextDecoder().decode(device.configurationSpace.subarray(0, 36))).toBe('shared'.padEnd(36, '\0'));
    expect(new DataView(device.configurationSpace.buffer).getUint32(36, true)).toBe(3);
    expect(device.queueSizes).toHaveLength(4);
  });

  test('offers of the back end only what it has a use for', () => {
    expect(machine().device.features).toBe(featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_INDIRECT_DESC));
  });

  test.each(['', 'x'.repeat(37)])('a tag of no or too many bytes is refused: "%s"', (tag) => {
    expect(() => new FsDevice({ tag, backend: new RecordingBackend() })).toThrow(RangeError);
  });

  test('starts and stops its back end with the driver', () => {
    const { backend, mock } = machine();
    mock.driver.start({ queueSize: 64 });
    mock.driver.reset();
    expect(backend.log).toEqual(['start', 'stop']);
  });

  test('a back end that dies fails the device', () => {
    const { backend, mock } = machine();
    mock.driver.start({ queueSize: 64 });
    backend.context?.fail(new Error('gone'));
    expect(mock.transport.state.kind).toBe('failed');
    expect(backend.log).toEqual(['start', 'stop']);
  });

  test('hands what its back end knows over to another one, before that starts', async () => {
    const { backend, device, mock } = machine();
    mock.driver.start({ queueSize: 64 });
    const context = backend.context;
    const active = context === undefined ? undefined : device.activate(context);
    await active?.quiesce?.();
    const saved = active?.saveState?.() ?? {};
    active?.resume?.();
    if (context !== undefined) device.activate({ ...context, restored: saved });
    expect(backend.log).toEqual(['start', 'start', 'quiesce', 'resume', 'restore open files', 'start']);
  });
});
