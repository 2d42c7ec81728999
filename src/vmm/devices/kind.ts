// What every kind of virtio device of a VM has: how it is described, what of it can be, and how it is opened.
import type { VirtioDevice } from '../../devices/virtio/device.ts';
import type { Timers } from '../../devices/virtio/timers.ts';
import type { MappedMemory } from '../../host/vhost.ts';
import type { SharedMemory } from '../../host/vhost-user.ts';
import type { VirtiofsdChoice } from '../../host/virtiofsd.ts';
import type { GuestAddress } from '../../lib/brand.ts';
import type { OptionSource } from '../options.ts';

/** What a device's back end may need of its VM. */
export interface BackendContext {
  /** Guest RAM, for back ends in other processes. */
  readonly memory: readonly SharedMemory[];
  /** Guest RAM, for back ends in the kernel. */
  readonly mappedMemory: readonly MappedMemory[];
  /** What the guest has of it at most, bytes. */
  readonly memorySize: number;
  /** Gives pages of guest RAM back to the host; they read as zeros then. Both are multiples of the page size, within a region. */
  readonly discard: (address: GuestAddress, length: number) => void;
  /** Takes what the guest writes on its virtio console. @returns a promise when the guest is to wait with more */
  readonly consoleOutput: (bytes: Uint8Array) => Promise<void> | undefined;
  readonly log: (line: string) => void;
  /** Which virtiofsd serves shares. */
  readonly virtiofsd?: VirtiofsdChoice;
  /** A back end that the guest cannot do without has ended. */
  readonly onEnd: (error: Error) => void;
  /** Takes what must be released after the devices. */
  readonly resources: AsyncDisposableStack;
}

export interface DeviceKind<Config, Device extends VirtioDevice = VirtioDevice> {
  /** Reads a flag's text or a configuration file's table. @throws VmConfigError */
  read(source: OptionSource): Config;
  /** Checks what can be checked without opening anything. @throws VmConfigError */
  check(config: Config): void;
  /** Whether the back end is in another process, which maps guest memory. Absent: it never is. */
  needsSharedMemory?(config: Config): boolean;
  /** The same with paths from the root, so that it means the same in another folder. Absent: there is no path in it. */
  withAbsolutePaths?(config: Config): Config;
  /** Opens the back end and makes the device. @throws the back end's errors, which say what was tried (rejects) */
  open(config: Config, context: BackendContext): Promise<Device>;
}

/** The event loop's timers, for devices. */
export const timers: Timers = {
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
