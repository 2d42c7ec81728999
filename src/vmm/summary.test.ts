import { expect, test } from 'vitest';
import { summarizeVm } from './summary.ts';

test('a VM is told with its devices by name and type, and its consoles', () => {
  const summary = summarizeVm(
    { kernelPath: '/k', memoryMib: 64, maxMemoryMib: 256, cpus: 2, serial: true, vsock: { guestCid: 7, path: '/v' } },
    [
      { name: 'disk.raw', deviceId: 2 },
      { name: 'hvc0', deviceId: 3 },
      { name: 'odd', deviceId: 999 },
    ],
  );

  expect(summary).toEqual({
    kernelPath: '/k',
    commandLine: '',
    memoryMib: 64,
    maxMemoryMib: 256,
    cpus: 2,
    maxCpus: 2,
    guestCid: 7,
    devices: [
      { name: 'disk.raw', type: 'block' },
      { name: 'hvc0', type: 'console' },
      { name: 'odd', type: 'virtio-999' },
    ],
    consoles: ['serial', 'hvc0'],
  });
});

test('a VM that was restored names no kernel', () => {
  expect(summarizeVm({ memoryMib: 64, cpus: 1 }, [])).toEqual({
    commandLine: '',
    memoryMib: 64,
    maxMemoryMib: 64,
    cpus: 1,
    maxCpus: 1,
    devices: [],
    consoles: [],
  });
});
