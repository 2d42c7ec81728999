// What the sandbox process needs of a virtual machine.
import type { CachePolicy } from '../host/cache-policy.ts';
import type { NetworkCard } from '../host/container-network.ts';
import type { HostDisk } from '../oci/guest-devices.ts';
import type { HugePageSize } from '../vmm/limits.ts';
import type { TimelineMarkName } from '../vmm/timeline.ts';

/** A disk of the host for the guest. */
export interface SandboxDisk extends HostDisk {
  readonly path: string;
}

/** What configuration and container decide about the machine. */
export interface SandboxMachine {
  readonly kernelPath: string;
  readonly initrdPath: string;
  /** What stands after our own words on the kernel's command line. */
  readonly kernelParams: string;
  readonly memoryMib: number;
  readonly cpus: number;
  /** How far it may grow while it runs (`SandboxVm.resize`); not less than what it starts with. */
  readonly maxMemoryMib: number;
  readonly maxCpus: number;
  /** In the guest's order. */
  readonly disks: readonly SandboxDisk[];
  /** Ordinary pages when absent. */
  readonly hugePages?: HugePageSize;
  /** How many interfaces of its network it can have. */
  readonly networkCards: number;
  /** Whether the guest has a virtio entropy device. */
  readonly entropy: boolean;
  /** Path of the program that serves the shared folder; the usual one when absent. */
  readonly virtiofsd?: string;
  readonly virtiofsCache: CachePolicy;
  readonly virtiofsExtraArgs: readonly string[];
}

export interface SandboxVmOptions {
  readonly machine: SandboxMachine;
  /** Host side of the guest's vsock: Firecracker's convention of `CONNECT <port>` and `<path>_<port>`. */
  readonly vsockPath: string;
  /** Folder that the guest can mount by virtio-fs under `sharedTag`; mounts that appear below it later are seen too. */
  readonly sharedDirectory: string;
  readonly sharedTag: string;
  /** Whether the guest has a console. Each byte on it costs exits. */
  readonly console: boolean;
  /** Folder of a snapshot with which it goes on, instead of a boot; of its devices and their number nothing may be different. */
  readonly snapshot?: string;
  /** Told each moment that the VMM knows, in CLOCK_MONOTONIC nanoseconds. */
  readonly onMark: (name: TimelineMarkName, monotonicNs: bigint) => void;
  /** Told each line of the guest's console, and what the VMM has to say, without line feeds. */
  readonly onConsoleLine: (line: string) => void;
}

export interface SandboxVmSize {
  readonly memoryMib?: number;
  readonly cpus?: number;
}

/** A machine that has been started. */
export interface SandboxVm {
  /** Its network cards, whose cables are out. */
  readonly cards: readonly NetworkCard[];
  /** Why it ended, in words for a person. Settles once, when the machine and all it held are gone; never rejects. */
  readonly ended: Promise<string>;
  /** Ends it at once. */
  kill(): void;
  /**
   * Gives the guest more memory or processors, or takes some of what it got since its start, and waits for some seconds until
   * it has followed. What is absent stays as it is.
   * @param wanted what is beyond the machine's bounds counts as the nearest that is not
   * @returns what the guest has then, and no more until it is asked again: memory that it uses it may keep; processors only when
   *   they were asked for
   * @throws when nobody in the guest answers (rejects)
   */
  resize(wanted: SandboxVmSize): Promise<SandboxVmSize>;
  /** Writes a snapshot to a folder that is not there yet; the guest goes on afterwards. @throws when it cannot be saved (rejects) */
  snapshot(directory: string): Promise<void>;
  /** Plugs the cable of a card in or out. */
  setLink(card: NetworkCard, isUp: boolean): void;
  /** Exits of the vCPUs to the VMM by reason, up to now. */
  exitCounts(): Readonly<Record<string, number>>;
}

/** Builds and starts a machine; gives it once its vCPUs run. @throws when it cannot be built */
export type StartVm = (options: SandboxVmOptions) => Promise<SandboxVm>;
