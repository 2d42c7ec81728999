// The kernel command line: putting it together, and the bytes the kernel gets.
import { TskataError } from '../../lib/errors.ts';
import { KIB } from '../../lib/units.ts';
import type { VirtioMmioSlot } from './layout.ts';

/** The command line cannot be given to the kernel. */
export class CommandLineError extends TskataError<'TOO_LONG' | 'BAD_CHARACTER'> {}

/**
 * The parameter that tells Linux of a virtio-mmio device: `virtio_mmio.device=4K@0xc0000000:5`
 * (Linux, drivers/virtio/virtio_mmio.c; CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES).
 */
export function virtioMmioParameter(slot: VirtioMmioSlot): string {
  return `virtio_mmio.device=${slot.size / KIB}K@0x${slot.address.toString(16)}:${slot.gsi}`;
}

/**
 * The parameter by which Linux starts with so many processors and leaves the others for later
 * (Linux, Documentation/admin-guide/kernel-parameters.rst, maxcpus).
 */
export function maxCpusParameter(count: number): string {
  return `maxcpus=${count}`;
}

/**
 * Adds parameters to a command line. They go before a `--`, behind which everything belongs to the init program
 * (Linux, Documentation/admin-guide/kernel-parameters.rst).
 */
export function addParameters(commandLine: string, parameters: readonly string[]): string {
  const words = commandLine.split(' ').filter((word) => word !== '');
  const separator = words.indexOf('--');
  words.splice(separator < 0 ? words.length : separator, 0, ...parameters);
  return words.join(' ');
}

/**
 * The command line as the kernel reads it: UTF-8 with a terminating zero.
 * @param sizeMax longest line in bytes, without the zero
 * @throws CommandLineError
 */
export function encodeCommandLine(commandLine: string, sizeMax: number): Uint8Array {
  // Linux stops at a zero byte, and a line break would end up in /proc/cmdline.
  if (/[\0\n\r]/.test(commandLine)) {
    throw new CommandLineError(
      'BAD_CHARACTER',
      `the kernel command line ${JSON.stringify(commandLine)} has a zero byte or a line break; remove it`,
    );
  }
  const bytes = new TextEncoder().encode(`${commandLine}\0`);
  if (bytes.length - 1 > sizeMax) {
    throw new CommandLineError(
      'TOO_LONG',
      `the kernel command line has ${bytes.length - 1} bytes, this kernel takes ${sizeMax}: ${commandLine}`,
      { size: bytes.length - 1, sizeMax },
    );
  }
  return bytes;
}
