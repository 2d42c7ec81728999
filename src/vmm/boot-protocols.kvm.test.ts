// The state that src/arch hands to a kernel, on a real vCPU: kernels of a few instructions report what they find.
import { describe, expect, test } from 'vitest';
import { guestCpuid } from '../arch/x86_64/cpuid.ts';
import { type BootProtocol, parseKernel } from '../arch/x86_64/kernel-image.ts';
import { loadKernel, planBoot } from '../arch/x86_64/load-kernel.ts';
import { BOOT_MSRS } from '../arch/x86_64/msrs.ts';
import { sampleElf } from '../arch/x86_64/testing/sample-images.ts';
import { KvmHypervisor } from '../hypervisor/kvm/hypervisor.ts';
import { hasKvm } from '../hypervisor/testing/kvm.ts';
import { guestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';

const MEMORY_SIZE = 32 * MIB;
const ENTRY = 16 * MIB;
/** `out %eax, $0x80` */
const REPORT_EAX = [0xe7, 0x80];
/** An exit that ends the guest: `out %al, $0x81`. */
const END = [0xe6, 0x81];

/** Boots code by a protocol. @returns the values it reported on port 0x80 */
async function run(protocol: BootProtocol, code: readonly number[]): Promise<number[]> {
  using hypervisor = KvmHypervisor.open();
  using ram = hypervisor.allocateMemory(MEMORY_SIZE, { shared: false, name: 'ram' });
  using vm = hypervisor.createVm();
  vm.createInterruptControllers();
  vm.setMemorySlot(0, guestAddress(0), ram);
  using vcpu = vm.createVcpu(0);
  const image = parseKernel(
    sampleElf({ segments: [{ address: ENTRY, bytes: Uint8Array.from([...code, ...END]) }], pvhEntry: ENTRY }),
  );
  const plan = planBoot({ image, memorySize: MEMORY_SIZE, commandLine: 'quiet', protocol });
  const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: ram.bytes }]);
  const { hasTscDeadlineTimer } = hypervisor;
  const cpuid = guestCpuid(hypervisor.supportedCpuid(), { vcpuIndex: 0, vcpuCount: 1, hasTscDeadlineTimer });
  const state = loadKernel(memory, plan, { vcpuCount: 1, cpuid, virtioSlots: [], hasSerialPort: false });
  vcpu.setCpuid(cpuid);
  vcpu.setMsrs(BOOT_MSRS);
  vcpu.setSpecialRegisters(state.specialRegisters);
  vcpu.setRegisters(state.registers);
  const reported: number[] = [];
  await new Promise<void>((resolve, reject) => {
    vcpu.start({
      onExit: (exit) => {
        if (exit.kind === 'pio-write' && exit.port === 0x80) {
          reported.push(new DataView(exit.data.buffer, exit.data.byteOffset).getUint32(0, true));
          return true;
        }
        if (exit.kind === 'pio-write') resolve();
        else reject(new Error(`unexpected exit: ${exit.kind}`));
        return false;
      },
      onFailure: reject,
    });
  });
  return reported;
}

describe.skipIf(!hasKvm())('a kernel that is entered', () => {
  test('by the 64-bit Linux boot protocol finds the zero page, its segments, and the mapped local APIC', async () => {
    const reported = await run('linux64', [
      ...[0x8b, 0x86, 0x02, 0x02, 0x00, 0x00, ...REPORT_EAX], // mov 0x202(%rsi), %eax
      ...[0x8c, 0xc8, ...REPORT_EAX], // mov %cs, %eax
      ...[0x8c, 0xd0, ...REPORT_EAX], // mov %ss, %eax
      ...[0xbf, 0x20, 0x00, 0xe0, 0xfe, 0x8b, 0x07, ...REPORT_EAX], // mov $0xfee00020, %edi; mov (%rdi), %eax
      ...[0xb8, 0x18, 0x00, 0x00, 0x00, 0x8e, 0xd8, 0x8c, 0xd8, ...REPORT_EAX], // mov $0x18, %eax; mov %eax, %ds; back
      ...[0x48, 0x31, 0xc0, 0x48, 0xff, 0xc8, 0x48, 0xc1, 0xe8, 0x3c, ...REPORT_EAX], // (-1 as 64 bits) >> 60
    ]);

    expect(reported).toEqual([0x5372_6448, 0x10, 0x18, 0, 0x18, 0xf]);
  });

  test('by PVH finds the start info, in 32-bit protected mode without paging', async () => {
    const reported = await run('pvh', [
      ...[0x8b, 0x03, ...REPORT_EAX], // mov (%ebx), %eax
      ...[0x0f, 0x20, 0xc0, ...REPORT_EAX], // mov %cr0, %eax
      ...[0x31, 0xc0, 0x48, 0x90, ...REPORT_EAX], // xor %eax, %eax; dec %eax (a prefix in 64-bit mode)
    ]);

    expect(reported).toEqual([0x336e_c578, 0x11, 0xffff_ffff]);
  });
});
