// A VM as a user describes it, by the flags of `tsvm boot` or by a configuration file, and the VM that this means.
import { present } from '../lib/present.ts';
import type { VmConfig } from './config.ts';
import { VmConfigError } from './config-error.ts';
import { balloon } from './devices/balloon.ts';
import { virtioConsole } from './devices/console.ts';
import { disk } from './devices/disk.ts';
import type { DeviceKind } from './devices/kind.ts';
import { net } from './devices/net.ts';
import { share } from './devices/share.ts';
import { vsock } from './devices/vsock.ts';
import { HUGE_PAGE_SIZES, type HugePageSize } from './limits.ts';
import type { OptionSource } from './options.ts';
import { readCpus, readMemory } from './sizes.ts';

/** Values as they were typed; a device is a flag's text or a table with the same keys. */
export interface VmDescription {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly memory?: OptionSource | number;
  readonly hugepages?: string;
  readonly prefault?: boolean;
  readonly cpus?: OptionSource | number;
  readonly serial?: boolean;
  readonly entropy?: boolean;
  readonly disk?: readonly OptionSource[];
  readonly net?: readonly OptionSource[];
  readonly share?: readonly OptionSource[];
  readonly vsock?: OptionSource;
  /** `true` is a device without settings. */
  readonly console?: OptionSource | boolean;
  readonly balloon?: OptionSource | boolean;
}

/** One description over another: lists are joined, of all else the second has precedence. */
export function mergeDescriptions(base: VmDescription, over: VmDescription): VmDescription {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value;
  }
  return merged;
}

const DEFAULT_COMMAND_LINE = 'reboot=k panic=-1';
const DEFAULT_MEMORY = '256M';

function readHugePages(text: string): HugePageSize {
  const size = HUGE_PAGE_SIZES.find((known) => known === text);
  if (size === undefined) throw new VmConfigError('hugepages', JSON.stringify(text), HUGE_PAGE_SIZES.join(' or '));
  return size;
}

/** The devices of a description that may also replace those of a snapshot. @throws VmConfigError */
export function describedDevices(
  description: Pick<VmDescription, 'disk' | 'net' | 'share' | 'vsock'>,
): Pick<VmConfig, 'disks' | 'nets' | 'shares' | 'vsock'> {
  return present({
    disks: description.disk?.map((source) => disk.read(source)),
    nets: description.net?.map((source) => net.read(source)),
    shares: description.share?.map((source) => share.read(source)),
    vsock: description.vsock === undefined ? undefined : vsock.read(description.vsock),
  });
}

/** A device that there is or is not, perhaps without settings. */
function readOptional<Config>(
  kind: Pick<DeviceKind<Config>, 'read'>,
  source: OptionSource | boolean | undefined,
): Config | undefined {
  if (source === undefined || source === false) return undefined;
  return kind.read(source === true ? '' : source);
}

/** The VM that a description means. @throws VmConfigError */
export function describedVm(description: VmDescription): VmConfig {
  const { kernel, hugepages } = description;
  const console = readOptional(virtioConsole, description.console);
  const defaultCommandLine = `console=${console === undefined ? 'ttyS0' : 'hvc0'} ${DEFAULT_COMMAND_LINE}`;
  if (kernel === undefined) throw new VmConfigError('kernel', 'missing', 'the path of an ELF vmlinux or a bzImage');
  return {
    kernelPath: kernel,
    commandLine: description.cmdline ?? defaultCommandLine,
    ...readMemory(description.memory ?? DEFAULT_MEMORY),
    ...readCpus(description.cpus ?? 1),
    serial: description.serial ?? true,
    entropy: description.entropy ?? true,
    disks: [],
    nets: [],
    shares: [],
    ...describedDevices(description),
    ...present({
      initrdPath: description.initrd,
      hugePages: hugepages === undefined ? undefined : readHugePages(hugepages),
      prefault: description.prefault,
      console,
      balloon: readOptional(balloon, description.balloon),
    }),
  };
}
