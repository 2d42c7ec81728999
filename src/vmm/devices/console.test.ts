import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { VIRTIO_MMIO_CONFIG, virtio_console_config } from '../../devices/virtio/abi.gen.ts';
import type { ConsoleDevice } from '../../devices/virtio/console/device.ts';
import { MockMachine } from '../../devices/virtio/testing/mock-driver.ts';
import { VmConfigError } from '../config-error.ts';
import { virtioConsole } from './console.ts';
import type { BackendContext } from './kind.ts';

function setUp() {
  const folder = mkdtempSync(join(tmpdir(), 'console-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const resources = new AsyncDisposableStack();
  const consoleOutput = vi.fn((_bytes: Uint8Array) => undefined);
  const log = vi.fn();
  const context = { resources, consoleOutput, log } as unknown as BackendContext;
  return { path: join(folder, 'console.log'), resources, consoleOutput, log, context };
}

/** Lets the guest write a text, byte by byte. */
function write(device: ConsoleDevice, text: string): void {
  const { transport } = new MockMachine(device);
  for (const byte of Buffer.from(text)) {
    transport.write(VIRTIO_MMIO_CONFIG + virtio_console_config.emerg_wr, Uint8Array.of(byte, 0, 0, 0));
  }
}

describe('a console', () => {
  test.each([
    ['', {}],
    ['file=console.log', { path: 'console.log' }],
    ['console.log', { path: 'console.log' }],
    [{ file: '/tmp/x' }, { path: '/tmp/x' }],
  ])('of %j is %j', (source, expected) => {
    expect(virtioConsole.read(source)).toEqual(expected);
  });

  test('with a setting that there is not is refused', () => {
    expect(() => virtioConsole.read('path=console.log')).toThrow('console option is "path"');
  });

  test('shows what the guest writes to who is attached', async () => {
    const { context, consoleOutput } = setUp();

    write(await virtioConsole.open({}, context), 'hi');

    expect(consoleOutput.mock.calls).toEqual(
      [[Buffer.from('h')], [Buffer.from('i')]].map(([bytes]) => [Uint8Array.from(bytes ?? [])]),
    );
  });

  test('with a file has it all there in the end, behind what was there', async () => {
    const { context, consoleOutput, path, resources } = setUp();
    for (const text of ['first ', 'second']) write(await virtioConsole.open({ path }, context), text);

    await resources.disposeAsync();

    expect(readFileSync(path, 'latin1')).toBe('first second');
    expect(consoleOutput).toHaveBeenCalledTimes('first second'.length);
  });

  test('whose file cannot be opened cannot be', async () => {
    const { context, path } = setUp();

    const opened = virtioConsole.open({ path: join(path, 'in', 'a', 'file') }, context);

    await expect(opened).rejects.toThrow(VmConfigError);
    await expect(opened).rejects.toThrow('ENOENT');
  });

  test('whose file is full goes on without it', async () => {
    const { context, consoleOutput, log } = setUp();
    const device = await virtioConsole.open({ path: '/dev/full' }, context);

    write(device, 'a');
    await vi.waitFor(() => expect(log).toHaveBeenCalledOnce());
    write(device, 'b');

    expect(consoleOutput).toHaveBeenCalledTimes(2);
    await context.resources.disposeAsync();
  });
});
