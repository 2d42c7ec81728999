// The sandbox's virtual machine on this project's own VMM.
import { buildVm } from '../vmm/builder.ts';
import { describeStop } from '../vmm/vm.ts';
import { LineSplitter } from './line-splitter.ts';
import type { SandboxVm, SandboxVmOptions } from './sandbox-vm.ts';

/** The least that a guest's address may be: virtio 1.3, 5.10.4. The host's side is a Unix socket per VM, so all may use it. */
const GUEST_CID = 3;
/**
 * reboot=k and panic=-1: a guest that panics resets at once, and the VMM sees it. quiet: each line on a console costs exits.
 * The rest spares the kernel probes for what this machine does not have.
 */
const COMMAND_LINE = 'reboot=k panic=-1 quiet tsc=reliable no_timer_check';
/** With a console: everything that the kernel says, from its first line. */
const CONSOLE_COMMAND_LINE = 'reboot=k panic=-1 console=ttyS0 earlyprintk=serial,ttyS0 tsc=reliable no_timer_check';

/** Builds and starts the machine; what it holds is released when it has ended. @throws what buildVm throws */
export async function startKvmVm(options: SandboxVmOptions): Promise<SandboxVm> {
  const console = new LineSplitter(options.onConsoleLine);
  const vm = await buildVm(
    {
      kernelPath: options.kernelPath,
      initrdPath: options.initrdPath,
      commandLine: options.console ? CONSOLE_COMMAND_LINE : COMMAND_LINE,
      memoryMib: options.memoryMib,
      cpus: options.cpus,
      serial: options.console,
      disks: [],
      shares: [{ tag: options.sharedTag, directory: options.sharedDirectory }],
      vsock: { guestCid: GUEST_CID, path: options.vsockPath },
      entropy: true,
    },
    {
      serialOutput: (bytes) => console.push(bytes),
      log: options.onConsoleLine,
      runtimeDirectory: '.',
    },
  );
  const ended = vm.stopped.then(async (reason) => {
    await vm[Symbol.asyncDispose]();
    return describeStop(reason);
  });
  vm.start();
  for (const { name, monotonicNs } of vm.timeline.marks) options.onMark(name, monotonicNs);
  return { ended, kill: () => vm.kill(), exitCounts: () => Object.fromEntries(vm.exitCounts) };
}
