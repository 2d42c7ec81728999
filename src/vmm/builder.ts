// How a VM is built from a kernel: one recipe, from top to bottom. What can be refused is refused before the first resource is
// taken.
import { addParameters, maxCpusParameter } from '../arch/x86_64/command-line.ts';
import { guestCpuid } from '../arch/x86_64/cpuid.ts';
import { loadKernel, usedAtStart } from '../arch/x86_64/load-kernel.ts';
import { configureLocalApic } from '../arch/x86_64/local-apic.ts';
import { BOOT_MSRS } from '../arch/x86_64/msrs.ts';
import { MIB } from '../lib/units.ts';
import { BootFiles } from './boot-files.ts';
import { checkVmConfig, type VmConfig } from './config.ts';
import { assembleMachine, hostRange, type VmConnections } from './machine.ts';
import { Vm } from './vm.ts';

/**
 * Builds a VM that is ready to start. On failure nothing is left behind.
 * @throws VmConfigError, BootFileError, CommandLineError, KvmError, SystemError, BackEndError, VhostUserError
 */
export async function buildVm(config: VmConfig, connections: VmConnections): Promise<Vm> {
  checkVmConfig(config);
  const { cpus, maxCpus = cpus, memoryMib, hugePages, prefault = false, commandLine = '', serial = false } = config;
  using bootFiles = new BootFiles(config);
  await using resources = new AsyncDisposableStack();
  const machine = await assembleMachine(
    config,
    connections,
    // Shared, so that back ends in other processes can map it.
    (hypervisor, offset, size) =>
      hypervisor.allocateMemory(size, {
        shared: true,
        name: 'guest-ram',
        // What can be plugged is behind what is there from the start, and taken when it is plugged and touched.
        prefault: prefault && offset < memoryMib * MIB,
        ...(hugePages === undefined ? {} : { hugePages }),
      }),
    resources,
  );
  const { hypervisor, memory, devices, legacy, timeline } = machine;

  const plan = bootFiles.plan(
    addParameters(commandLine, [...devices.kernelParameters, ...(maxCpus > cpus ? [maxCpusParameter(cpus)] : [])]),
  );
  const supported = hypervisor.supportedCpuid();
  const cpuid = (vcpuIndex: number) =>
    guestCpuid(supported, { vcpuIndex, vcpuCount: maxCpus, hasTscDeadlineTimer: hypervisor.hasTscDeadlineTimer });
  const used = usedAtStart(plan);
  for (const { address, size } of used) {
    const { host, offset } = hostRange(machine.ram, address, size);
    host.collapse(offset, size);
  }
  const entry = loadKernel(memory, plan, {
    vcpuCount: maxCpus,
    cpuid: cpuid(0),
    virtioSlots: devices.slots,
    hasSerialPort: serial,
  });
  legacy.publishGeneration();
  const vcpus = Array.from({ length: maxCpus }, (_, index) => {
    const vcpu = resources.use(machine.machine.createVcpu(index));
    vcpu.setCpuid(cpuid(index));
    vcpu.setMsrs(BOOT_MSRS);
    vcpu.editLocalApic((registers) => configureLocalApic(registers, index));
    return vcpu;
  });
  vcpus[0]?.setSpecialRegisters(entry.specialRegisters);
  vcpus[0]?.setRegisters(entry.registers);
  for (const { address, size } of used) vcpus[0]?.prefault(address, size);

  timeline.mark('vm-start', process.hrtime.bigint());
  return new Vm({ ...machine, config, vcpus, resources: resources.move() });
}
