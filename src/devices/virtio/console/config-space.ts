// struct virtio_console_config (virtio 1.3, 5.3.4).
import { virtio_console_config } from '../abi.gen.ts';

/** Size of a terminal, in characters; zeros where nobody knows. */
export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

const MAX_SIZE = 0xffff;

/** The configuration space of a console without multiport. */
export function consoleConfigSpace(size: ConsoleSize): Uint8Array {
  const bytes = new Uint8Array(virtio_console_config.sizeof);
  setConsoleSize(bytes, size);
  return bytes;
}

/** Writes the size; one that no terminal has is cut to what the fields hold. */
export function setConsoleSize(space: Uint8Array, { columns, rows }: ConsoleSize): void {
  const view = new DataView(space.buffer, space.byteOffset, space.length);
  view.setUint16(virtio_console_config.cols, clamp(columns), true);
  view.setUint16(virtio_console_config.rows, clamp(rows), true);
}

/** Whether somebody has said how large the terminal is. */
export function isSizeKnown(space: Uint8Array): boolean {
  return space.subarray(virtio_console_config.cols, virtio_console_config.max_nr_ports).some((byte) => byte !== 0);
}

function clamp(length: number): number {
  return Math.min(Math.max(0, Math.trunc(length) || 0), MAX_SIZE);
}
