// The sandbox's virtual machine on this project's own VMM.
import { closeSync, openSync } from 'node:fs';
import type { NetworkCard } from '../host/container-network.ts';
import { type VirtiofsdChoice, virtiofsdAt } from '../host/virtiofsd.ts';
import { present } from '../lib/present.ts';
import { buildVm } from '../vmm/builder.ts';
import { MAX_MEMORY_KEY, type VmConfig } from '../vmm/config.ts';
import { VmConfigError } from '../vmm/config-error.ts';
import type { VmSummary } from '../vmm/operations.ts';
import { restoreVm } from '../vmm/restore.ts';
import { describeStop } from '../vmm/stop-reason.ts';
import type { Vm } from '../vmm/vm.ts';
import { LineSplitter } from './line-splitter.ts';
import type { SandboxMachine, SandboxVm, SandboxVmOptions, SandboxVmSize } from './sandbox-vm.ts';

/** The least that a guest's address may be: virtio 1.3, 5.10.4. The host's side is a Unix socket per VM, so all may use it. */
const GUEST_CID = 3;
const TUN = '/dev/net/tun';
/** With it the kernel moves frames between tap and guest by itself. */
const VHOST_NET = '/dev/vhost-net';
/** reboot=k and panic=-1: a guest that ends or panics resets its machine, and the VMM sees it. */
const END = 'reboot=k panic=-1';
/** What spares the kernel work: probes for what this machine does not have, waits that only big machines gain from. */
const FAST = 'tsc=reliable no_timer_check swiotlb=noforce rcupdate.rcu_expedited=1';
/** quiet: each line on a console costs exits. */
const COMMAND_LINE = `${END} quiet ${FAST} 8250.nr_uarts=0`;
/** With a console: everything that the kernel says, from its first line. */
const CONSOLE_COMMAND_LINE = `${END} console=ttyS0 earlyprintk=serial,ttyS0 ${FAST}`;
/**
 * Of memory that is plugged, so much is kept for what can be moved as the kernel can do without for itself: it can be taken away
 * again (Linux, Documentation/admin-guide/mm/memory-hotplug.rst, online_policy).
 */
const GROWTH = 'memory_hotplug.online_policy=auto-movable';

/** Builds and starts the machine; what it holds is released when it has ended. @throws what buildVm throws */
export async function startKvmVm(options: SandboxVmOptions): Promise<SandboxVm> {
  const console = new LineSplitter(options.onConsoleLine);
  const cards = networkCards(options.machine.networkCards);
  const vm = await build(options, cards);
  if (vm.summary.consoles.includes('serial')) {
    vm.attachConsole('serial', (bytes) => {
      console.push(bytes);
      return undefined;
    });
  }
  const ended = vm.stopped.then(async (reason) => {
    await vm[Symbol.asyncDispose]();
    return describeStop(reason);
  });
  for (const card of cards) vm.setLink(deviceName(card), false);
  vm.start();
  for (const { name, monotonicNs } of vm.timeline.marks) options.onMark(name, monotonicNs);
  return {
    ended,
    kill: () => vm.kill(),
    cards,
    setLink: (card, isUp) => vm.setLink(deviceName(card), isUp),
    resize: (wanted) => resize(vm, wanted),
    snapshot: (directory) => vm.snapshot(directory),
    exitCounts: () => Object.fromEntries(vm.exitCounts),
  };
}

/** Taps that wait in the sandbox's own network namespace. The guest gets other addresses with its interfaces. */
function networkCards(count: number): NetworkCard[] {
  return Array.from({ length: canOpen(TUN) ? count : 0 }, (_, index) => ({
    tap: `tskata${index}`,
    macAddress: `02:74:73:6b:00:${index.toString(16).padStart(2, '0')}`,
  }));
}

/** As the VMM calls it. */
function deviceName({ tap }: NetworkCard): string {
  return `net:${tap}`;
}

async function build(options: SandboxVmOptions, cards: readonly NetworkCard[]): Promise<Vm> {
  const { machine, onConsoleLine, snapshot } = options;
  const connections = { log: onConsoleLine, virtiofsd: virtiofsdChoice(machine) };
  const config = vmConfig(options, cards);
  if (snapshot !== undefined) {
    const { disks = [], nets = [], shares = [], vsock } = config;
    // All that names something of this host: a snapshot may be from anybody.
    return await restoreVm(snapshot, { devices: { disks, nets, shares, ...present({ vsock }) } }, connections);
  }
  try {
    return await buildVm(config, connections);
  } catch (error) {
    if (!(error instanceof VmConfigError) || error.details['key'] !== MAX_MEMORY_KEY) throw error;
    // An old KVM has too few memory slots for a VM that grows.
    onConsoleLine(`the VM stays as big as it is: ${error.message}`);
    return await buildVm({ ...config, maxMemoryMib: machine.memoryMib }, connections);
  }
}

function vmConfig(options: SandboxVmOptions, cards: readonly NetworkCard[]): VmConfig {
  const { machine } = options;
  const hasVhost = canOpen(VHOST_NET);
  return {
    kernelPath: machine.kernelPath,
    initrdPath: machine.initrdPath,
    commandLine: commandLine(options),
    memoryMib: machine.memoryMib,
    maxMemoryMib: machine.maxMemoryMib,
    cpus: machine.cpus,
    maxCpus: machine.maxCpus,
    ...present({ hugePages: machine.hugePages }),
    serial: options.console,
    nets: cards.map(({ tap, macAddress }) => ({ end: { kind: 'tap', name: tap }, mac: macAddress, vhost: hasVhost })),
    disks: machine.disks.map(({ path, readOnly }) => ({ path, readOnly })),
    shares: [{ tag: options.sharedTag, directory: options.sharedDirectory, cache: machine.virtiofsCache }],
    vsock: { guestCid: GUEST_CID, path: options.vsockPath },
    entropy: machine.entropy,
  };
}

function commandLine({ console, machine }: SandboxVmOptions): string {
  const growth = machine.maxMemoryMib > machine.memoryMib ? [GROWTH] : [];
  return [console ? CONSOLE_COMMAND_LINE : COMMAND_LINE, ...growth, machine.kernelParams].join(' ').trimEnd();
}

/** As far as it goes; a guest that has not followed in time is told to stay as it is then. */
async function resize(vm: Vm, wanted: SandboxVmSize): Promise<SandboxVmSize> {
  const within = sizeWithin(vm.summary, wanted);
  const size = await vm.resize(within);
  if (within.memoryMib === undefined || size.memoryMib >= within.memoryMib) return size;
  return { ...size, ...(await vm.resize({ memoryMib: size.memoryMib })) };
}

/** What of a size the machine can have. */
export function sizeWithin(
  { memoryMib: leastMib, maxMemoryMib, maxCpus }: Pick<VmSummary, 'memoryMib' | 'maxMemoryMib' | 'maxCpus'>,
  { memoryMib, cpus }: SandboxVmSize,
): SandboxVmSize {
  return present({
    memoryMib: memoryMib === undefined ? undefined : Math.max(leastMib, Math.min(memoryMib, maxMemoryMib)),
    cpus: cpus === undefined ? undefined : Math.min(cpus, maxCpus),
  });
}

function virtiofsdChoice({ virtiofsd, virtiofsExtraArgs }: SandboxMachine): VirtiofsdChoice {
  return {
    ...(virtiofsd === undefined ? {} : { program: virtiofsdAt(virtiofsd) }),
    extraArgs: virtiofsExtraArgs,
  };
}

/** A device file may be there without its device: the kernel's modules are asked. */
function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, 'r+'));
    return true;
  } catch {
    return false;
  }
}
