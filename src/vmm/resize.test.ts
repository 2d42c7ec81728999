import { describe, expect, test } from 'vitest';
import { MemoryDevice } from '../devices/virtio/mem/device.ts';
import { encodeRequest, FakeMemoryHost } from '../devices/virtio/testing/memory-guest.ts';
import { MockMachine } from '../devices/virtio/testing/mock-driver.ts';
import { MIB } from '../lib/units.ts';
import { growthOf, type VmConfig } from './config.ts';
import { resizeVm } from './resize.ts';

const CONFIG: VmConfig = { kernelPath: '/k', memoryMib: 128, maxMemoryMib: 256, cpus: 2, maxCpus: 4 };
const never = new Promise<void>(() => {});

/** A guest that plugs what it is to have, from the start of the region. */
function growing() {
  const layout = growthOf(CONFIG);
  if (layout === undefined) throw new Error('it can grow');
  const memory = new MemoryDevice({ backend: new FakeMemoryHost(), layout, maximumSize: 128 * MIB });
  const { driver } = new MockMachine(memory);
  driver.start();
  const follow = (): void => {
    const blocks = (memory.requestedSize - memory.pluggedSize) / layout.blockSize;
    driver.queue(0).push({ read: encodeRequest(0, BigInt(layout.address), blocks) }, { write: 10 });
    driver.queue(0).kick();
  };
  return { vm: { config: CONFIG, memory, stopped: never }, follow };
}

describe('resizeVm', () => {
  test('waits until the guest has the memory that it is to have', async () => {
    const { vm, follow } = growing();
    const resized = resizeVm(vm, { memoryMib: 192 });
    follow();

    expect(await resized).toEqual({ memoryMib: 192 });
  });

  test('tells what the guest has when the VM ends meanwhile', async () => {
    const { vm } = growing();

    expect(await resizeVm({ ...vm, stopped: Promise.resolve() }, { memoryMib: 192 })).toEqual({ memoryMib: 128 });
    expect(vm.memory.requestedSize).toBe(64 * MIB);
  });

  test('changes nothing without a wish', async () => {
    const { vm } = growing();

    expect(await resizeVm(vm, {})).toEqual({ memoryMib: 128 });
    expect(vm.memory.requestedSize).toBe(0);
  });

  test.each([
    [{ memoryMib: 127 }, 'memory (MiB) is 127; this VM can have 128 to 256'],
    [{ memoryMib: 257 }, 'memory (MiB) is 257; this VM can have 128 to 256'],
    [{ memoryMib: 192, cpus: 0 }, 'cpus is 0; this VM can have 1 to 4'],
    [{ memoryMib: 192, cpus: 5 }, 'cpus is 5; this VM can have 1 to 4'],
  ])('refuses %j before anything is changed', async (wanted, message) => {
    const { vm } = growing();

    await expect(resizeVm(vm, wanted)).rejects.toThrow(message);
    expect(vm.memory.requestedSize).toBe(0);
  });

  test('has nobody to ask about processors without a vsock', async () => {
    await expect(resizeVm(growing().vm, { cpus: 3 })).rejects.toMatchObject({ code: 'NO_SUCH_PART' });
  });

  test('of a VM that was made to stay as it is takes what it has', async () => {
    const vm = { config: { kernelPath: '/k', memoryMib: 128, cpus: 2 }, memory: undefined, stopped: never };

    expect(await resizeVm(vm, { memoryMib: 128 })).toEqual({ memoryMib: 128 });
    await expect(resizeVm(vm, { memoryMib: 129 })).rejects.toThrow('this VM can have 128 to 128');
  });
});
