// What configuration, annotations and limits decide about a new sandbox.
import { existsSync } from 'node:fs';
import type { Config } from '../oci/config.ts';
import { withAnnotations } from './annotations.ts';
import { type HostNetworkAnswer, invalid, type Settings } from './configuration.ts';
import { loadSettings } from './configuration-load.ts';
import { blockDevicePath, hostDisks } from './host-disks.ts';
import type { Installation } from './installation.ts';
import type { SandboxMachine } from './sandbox-vm.ts';
import { sizeVm } from './sizing.ts';
import { readHostSize } from './sizing-host.ts';

/** What of it concerns a container whether or not it gets a VM of its own. */
export type HostPlan = Pick<SandboxPlan, 'overheadMib' | 'createTimeoutMs'>;

export interface SandboxPlan {
  readonly machine: SandboxMachine;
  readonly hostNetwork: HostNetworkAnswer;
  /** Whether the guest's console goes into the log, whatever the command says. */
  readonly debug: boolean;
  /** What the processes around the guest may take of the host besides its memory. */
  readonly overheadMib: number;
  /** How long the guest may take to its agent's first word, milliseconds. */
  readonly dialTimeoutMs: number;
  /** How long the making of a container may take, milliseconds. */
  readonly createTimeoutMs: number;
}

/**
 * @param configFile the file that the caller names with --config
 * @throws RuntimeError INVALID_CONFIGURATION; what a guest cannot have: ConfigError, RuntimeError INVALID_BUNDLE
 */
export async function planSandbox(
  installation: Installation,
  config: Config,
  configFile?: string,
): Promise<SandboxPlan> {
  const settings = withAnnotations(await loadSettings(installation, configFile), config.annotations);
  checkFiles(settings);
  const { values } = settings;
  return {
    machine: {
      kernelPath: values.kernel,
      initrdPath: values.initrd,
      kernelParams: values.kernel_params,
      ...sizeVm(config, values, readHostSize()),
      disks: hostDisks(config).map((disk) => ({ ...disk, path: blockDevicePath(disk) })),
      networkCards: values.network_interfaces,
      entropy: values.virtio_rng,
      ...(values.enable_hugepages ? { hugePages: values.hugepage_size } : {}),
      ...(values.virtio_fs_daemon === '' ? {} : { virtiofsd: values.virtio_fs_daemon }),
      virtiofsCache: values.virtio_fs_cache,
      virtiofsExtraArgs: values.virtio_fs_extra_args,
    },
    hostNetwork: values.host_network,
    debug: values.enable_debug,
    overheadMib: values.host_memory_overhead,
    dialTimeoutMs: values.dial_timeout * 1000,
    createTimeoutMs: values.create_container_timeout * 1000,
  };
}

/** What a container that gets no VM of its own needs of the configuration. */
export async function planHost(installation: Installation, configFile?: string): Promise<HostPlan> {
  const { values } = await loadSettings(installation, configFile);
  return { overheadMib: values.host_memory_overhead, createTimeoutMs: values.create_container_timeout * 1000 };
}

const FILES = ['kernel', 'initrd', 'virtio_fs_daemon'] as const;

/**
 * Whether the files are there that somebody has set; those of the installation are checked with it.
 * @throws RuntimeError INVALID_CONFIGURATION
 */
export function checkFiles({ values, sources }: Settings): void {
  for (const key of FILES) {
    const source = sources[key];
    if (source === undefined || values[key] === '' || existsSync(values[key])) continue;
    throw invalid(`there is no file ${values[key]}, which is the ${key} of ${source}`, { key, path: values[key] });
  }
}
