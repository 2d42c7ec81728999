// How a VM is built: one recipe, from top to bottom. What can be refused is refused before the first resource is taken.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addParameters } from '../arch/x86_64/command-line.ts';
import { guestCpuid } from '../arch/x86_64/cpuid.ts';
import { parseKernel } from '../arch/x86_64/kernel-image.ts';
import { KernelImageError, type KernelImageErrorCode } from '../arch/x86_64/kernel-image-error.ts';
import { LEGACY_GSI, PORTS, ramRegions } from '../arch/x86_64/layout.ts';
import { type BootPlan, loadKernel, planBoot } from '../arch/x86_64/load-kernel.ts';
import { configureLocalApic } from '../arch/x86_64/local-apic.ts';
import { BOOT_MSRS } from '../arch/x86_64/msrs.ts';
import { AddressBus } from '../bus/address-bus.ts';
import { byteRegisterDevice } from '../bus/byte-registers.ts';
import { absentPci } from '../devices/legacy/absent-pci.ts';
import { CmosRtc } from '../devices/legacy/cmos-rtc.ts';
import { I8042 } from '../devices/legacy/i8042.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import type { SharedMemory } from '../host/vhost-user.ts';
import { KvmHypervisor } from '../hypervisor/kvm/hypervisor.ts';
import type { Hypervisor, VirtualMachine } from '../hypervisor/ports.ts';
import type { GuestAddress } from '../lib/brand.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { checkVmConfig, type VmConfig } from './config.ts';
import { DeviceManager } from './device-manager.ts';
import { limitLog } from './log-limit.ts';
import { SerialConsole } from './serial-console.ts';
import { StopLatch } from './stop-reason.ts';
import { Timeline } from './timeline.ts';
import { Hold } from './vcpu-group.ts';
import { openVirtioDevices } from './virtio-devices.ts';
import { Vm } from './vm.ts';

/** What a VM is connected to. */
export interface VmConnections {
  /** Bytes that the guest sent on its serial port. */
  readonly serialOutput?: (bytes: Uint8Array) => void;
  /** One line on something that a person who looks for a reason wants to know. */
  readonly log: (line: string) => void;
  /** Folder for the sockets of back ends in other processes. @default one of its own, below the system's for temporary files */
  readonly runtimeDirectory?: string;
}

/** A kernel or initrd was refused; the message names the file and the reason. */
export class BootFileError extends TskataError<KernelImageErrorCode | 'UNREADABLE'> {}

function readBootFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new BootFileError('UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { path }, { cause });
  }
}

/** Reads and checks the images. @throws BootFileError, CommandLineError */
function readBootFiles(config: VmConfig): (commandLine: string) => BootPlan {
  const { kernelPath, initrdPath } = config;
  const kernel = readBootFile(kernelPath);
  const initrd = initrdPath === undefined ? {} : { initrd: readBootFile(initrdPath) };
  try {
    const image = parseKernel(kernel);
    const plan = (commandLine: string): BootPlan =>
      planBoot({ image, memorySize: config.memoryMib * MIB, commandLine, ...initrd });
    plan(config.commandLine ?? '');
    return plan;
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    const files = initrdPath === undefined ? kernelPath : `${kernelPath} with ${initrdPath}`;
    throw new BootFileError(error.code, `cannot boot ${files}: ${error.message}`, error.details, { cause: error });
  }
}

interface Ram extends SharedMemory {
  readonly guestAddress: GuestAddress;
  readonly bytes: Uint8Array;
}

/** RAM as memfds, so that back ends in other processes can map it. */
function allocateRam(
  hypervisor: Hypervisor,
  machine: VirtualMachine,
  memorySize: number,
  resources: AsyncDisposableStack,
): Ram[] {
  return ramRegions(memorySize).map(({ address, size }, slot) => {
    const host = resources.use(hypervisor.allocateMemory(size, { shared: true, name: 'guest-ram' }));
    const { fd, fdOffset, bytes } = host;
    if (fd === undefined) throw new TypeError('the hypervisor gave shared memory without a descriptor');
    machine.setMemorySlot(slot, address, host);
    return { guestAddress: address, size, fd, fdOffset, bytes };
  });
}

/** @returns the folder that was given, else a new one that goes with the VM */
function runtimeDirectory(given: string | undefined, resources: AsyncDisposableStack): string {
  if (given !== undefined) return given;
  const made = mkdtempSync(join(tmpdir(), 'tsvm-'));
  resources.defer(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/**
 * Builds a VM that is ready to start. On failure nothing is left behind.
 * @throws VmConfigError, BootFileError, CommandLineError, KvmError, SystemError, VirtiofsdError
 */
export async function buildVm(config: VmConfig, connections: VmConnections): Promise<Vm> {
  checkVmConfig(config);
  const planWith = readBootFiles(config);
  const timeline = new Timeline();
  await using resources = new AsyncDisposableStack();
  const hypervisor = resources.use(KvmHypervisor.open());
  const machine = resources.use(hypervisor.createVm());
  // The interrupt controllers come before the vCPUs: a vCPU's local APIC is made with them.
  machine.createInterruptControllers();
  const ram = allocateRam(hypervisor, machine, config.memoryMib * MIB, resources);
  const memory = new GuestMemory(ram);

  const pioBus = new AddressBus('pio');
  const mmioBus = new AddressBus('mmio');
  const latch = new StopLatch();
  const hold = new Hold();
  attachLegacyDevices(pioBus, machine, () => latch.stop({ kind: 'guest-reset' }));
  const serial = new SerialConsole({
    setInterrupt: (level) => machine.setInterruptLine(LEGACY_GSI.serial, level),
    output: connections.serialOutput ?? (() => undefined),
  });
  if (config.serial === true) pioBus.register('serial', PORTS.serial, byteRegisterDevice(serial.port));
  resources.use(serial);

  const log = limitLog(connections.log);
  // Back ends before devices, so that at the end the devices stop first, and what is in flight finds memory and files there.
  const backends = {
    memory: ram,
    runtimeDirectory: runtimeDirectory(connections.runtimeDirectory, resources),
    log,
    onEnd: (error: Error) => latch.stop({ kind: 'back-end-ended', error }),
    resources,
  };
  const virtioDevices = await openVirtioDevices(config, backends);
  const devices = resources.use(
    new DeviceManager({
      hypervisor,
      machine,
      memory,
      mmioBus,
      hold: hold.set,
      onDeviceFailure: (device: VirtioDevice, failure) => log(`${device.name} failed: ${failure.message}`),
    }),
  );
  for (const device of virtioDevices) devices.attach(device);

  const plan = planWith(addParameters(config.commandLine ?? '', devices.kernelParameters));
  const supported = hypervisor.supportedCpuid();
  const cpuid = (vcpuIndex: number) =>
    guestCpuid(supported, { vcpuIndex, vcpuCount: config.cpus, hasTscDeadlineTimer: hypervisor.hasTscDeadlineTimer });
  const entry = loadKernel(memory, plan, {
    vcpuCount: config.cpus,
    cpuid: cpuid(0),
    virtioSlots: devices.slots,
    hasSerialPort: config.serial === true,
  });
  const vcpus = Array.from({ length: config.cpus }, (_, index) => {
    const vcpu = resources.use(machine.createVcpu(index));
    vcpu.setCpuid(cpuid(index));
    vcpu.setMsrs(BOOT_MSRS);
    vcpu.editLocalApic((registers) => configureLocalApic(registers, index));
    return vcpu;
  });
  vcpus[0]?.setSpecialRegisters(entry.specialRegisters);
  vcpus[0]?.setRegisters(entry.registers);

  timeline.mark('vm-start', process.hrtime.bigint());
  return new Vm({
    latch,
    hold,
    vcpus,
    pioBus,
    mmioBus,
    timeline,
    serialInput: (bytes) => serial.input(bytes),
    resources: resources.move(),
  });
}

/** The parts of a PC that kernels expect without asking. */
function attachLegacyDevices(pioBus: AddressBus, machine: VirtualMachine, onReset: () => void): void {
  const keyboard = new I8042({
    onReset,
    setInterrupt: (level) => machine.setInterruptLine(LEGACY_GSI.keyboard, level),
  });
  pioBus.register('i8042', PORTS.i8042, byteRegisterDevice(keyboard));
  pioBus.register('cmos', PORTS.cmos, byteRegisterDevice(new CmosRtc(() => Date.now())));
  pioBus.register('pci', PORTS.pciConfiguration, absentPci);
}
