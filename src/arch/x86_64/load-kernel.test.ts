import { describe, expect, test } from 'vitest';
import { guestAddress } from '../../lib/brand.ts';
import { GIB, MIB } from '../../lib/units.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { CommandLineError } from './command-line.ts';
import { parseKernel } from './kernel-image.ts';
import {
  ACPI_TABLES_ADDRESS,
  COMMAND_LINE_ADDRESS,
  MP_TABLE_ADDRESS,
  PVH_START_INFO_ADDRESS,
  virtioMmioSlot,
  ZERO_PAGE_ADDRESS,
} from './layout.ts';
import { type BootRequest, loadKernel, pageDescriptions, planBoot, usedAtStart } from './load-kernel.ts';
import { patched, sampleBzImage, sampleElf } from './testing/sample-images.ts';

const MACHINE = { vcpuCount: 2, cpuid: [], virtioSlots: [virtioMmioSlot(0)], hasSerialPort: true };
const INITRD = new Uint8Array(5000).fill(0x70);

function makeMemory(size: number): GuestMemory {
  return new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(size) }]);
}

function request(file: Uint8Array, rest: Partial<BootRequest> = {}): BootRequest {
  return { image: parseKernel(file), memorySize: 32 * MIB, commandLine: 'console=ttyS0', ...rest };
}

function text(memory: GuestMemory, address: number, length: number): string {
  return new TextDecoder().decode(memory.slice(address, length));
}

const FIRST_USED = [
  [0, 2],
  [8, 28],
];

test.each([
  ['what Linux takes first, its descriptions of pages, and the initial RAM disk', 512, 5, [...FIRST_USED, [498, 14]]],
  ['that without an initial RAM disk that has less than half of 2 MiB', 512, 0.5, [...FIRST_USED, [502, 10]]],
  ['on both sides of the hole below 4 GiB', 8192, 5, [...FIRST_USED, [2042, 6], [9086, 130]]],
  ['in RAM to its end, which may be in the middle of 2 MiB', 511, 4, [...FIRST_USED, [500, 10]]],
  ['what is loaded alone where memory is small', 32, 4, [[28, 4]]],
])('usedAtStart is %s', (_, memoryMib, initrdMib, expected) => {
  const initrd = new Uint8Array(initrdMib * MIB);

  const used = usedAtStart(planBoot(request(sampleElf(), { memorySize: memoryMib * MIB, initrd })));

  expect(used.map(({ address, size }) => [address / MIB, size / MIB])).toEqual(expected);
});

describe('pageDescriptions', () => {
  const descriptionsOf = (memoryMib: number, initrd?: Uint8Array) =>
    pageDescriptions(planBoot(request(sampleElf(), { memorySize: memoryMib * MIB, ...(initrd && { initrd }) })));

  test('are 2 MiB for each 128 MiB, in the last 2 MiB but one and below', () => {
    expect(descriptionsOf(512)).toEqual({ address: 502 * MIB, size: 8 * MIB });
    expect(descriptionsOf(512 + 127)).toEqual({ address: (638 - 8) * MIB, size: 8 * MIB });
    expect(descriptionsOf(8192)).toEqual({ address: (9216 - 2 - 128) * MIB, size: 128 * MIB });
  });

  test('are below an initial RAM disk', () => {
    expect(descriptionsOf(512, new Uint8Array(5 * MIB))).toEqual({ address: (506 - 8) * MIB, size: 8 * MIB });
  });

  test('are nowhere for certain in little memory, or in little of it above 4 GiB', () => {
    expect(descriptionsOf(127)).toBeUndefined();
    expect(descriptionsOf(3072 + 64)).toBeUndefined();
  });
});

describe('planBoot', () => {
  test('prefers the 64-bit entry, and takes PVH when it is the only one', () => {
    const both = planBoot(request(sampleElf({ pvhEntry: 16 * MIB + 8 })));
    const pvhOnly = planBoot(request(sampleElf({ entry: 2n ** 63n, pvhEntry: 16 * MIB + 8 })));

    expect([both.protocol, both.entry]).toEqual(['linux64', 16 * MIB]);
    expect([pvhOnly.protocol, pvhOnly.entry]).toEqual(['pvh', 16 * MIB + 8]);
  });

  test('refuses a protocol that the image does not know', () => {
    expect(() => planBoot(request(sampleBzImage(), { protocol: 'pvh' }))).toThrow(
      'no entry for the boot protocol pvh; this bzImage has linux64',
    );
  });

  test('says how much memory the kernel needs when there is too little', () => {
    const file = sampleBzImage({ init_size: 48 * MIB });

    expect(() => planBoot(request(file))).toThrow(
      "it needs RAM up to 0x4000000, the machine's 32 MiB end at 0x2000000; give it at least 64 MiB",
    );
  });

  test('refuses a kernel that is larger than all RAM', () => {
    const bytes = new Uint8Array(64);
    const file = sampleElf({ segments: [{ address: 16 * MIB, bytes, memorySize: GIB }] });

    expect(() => planBoot(request(file))).toThrow("the machine's 32 MiB end at 0x2000000; give it at least 1040 MiB");
  });

  test('puts the initial RAM disk at the top of RAM', () => {
    expect(planBoot(request(sampleElf(), { initrd: INITRD })).initrd?.address).toBe(32 * MIB - 8192);
  });

  test('keeps it below what the kernel can reach, and below the MMIO hole', () => {
    const reachable = planBoot(request(sampleElf(), { initrd: INITRD, memorySize: 8 * GIB }));
    const anywhere = patched(sampleBzImage(), 0x22c, [0xff, 0xff, 0xff, 0xff]);
    const belowHole = planBoot(request(anywhere, { initrd: INITRD, memorySize: 8 * GIB }));

    expect(reachable.initrd?.address).toBe(2 * GIB - 8192);
    expect(belowHole.initrd?.address).toBe(3 * GIB - 8192);
  });

  test('puts it below the kernel when there is no room above', () => {
    const file = sampleBzImage({ init_size: 16 * MIB });

    expect(planBoot(request(file, { initrd: INITRD })).initrd?.address).toBe(16 * MIB - 8192);
  });

  test.each([
    ['has no room beside the kernel', 20 * MIB],
    ['is larger than all RAM', 33 * MIB],
  ])('refuses one that %s', (_, size) => {
    expect(() => planBoot(request(sampleElf(), { initrd: new Uint8Array(size) }))).toThrow(
      `no room for an initial RAM disk of ${size} bytes`,
    );
  });

  test("refuses a command line beyond the kernel's limit", () => {
    expect(() => planBoot(request(sampleElf(), { commandLine: 'x'.repeat(2048) }))).toThrow(CommandLineError);
    expect(() => planBoot(request(sampleElf(), { commandLine: 'x'.repeat(2047) }))).not.toThrow();
  });

  test('refuses a memory size that no machine has', () => {
    expect(() => planBoot(request(sampleElf(), { memorySize: MIB }))).toThrow(RangeError);
  });
});

describe('loadKernel', () => {
  test('Linux: kernel, RAM disk, command line and zero page are where the registers and the page say', () => {
    const memory = makeMemory(32 * MIB);
    const plan = planBoot(request(sampleBzImage(), { initrd: INITRD }));

    const state = loadKernel(memory, plan, MACHINE);

    const page = Number(state.registers.rsi);
    expect(memory.slice(16 * MIB, 1024)).toEqual(new Uint8Array(1024).fill(0x90));
    expect(text(memory, page + 0x202, 4)).toBe('HdrS');
    expect(memory.readU8(page + 0x210)).toBe(0xff);
    expect(memory.readU32(page + 0x214)).toBe(16 * MIB);
    expect(text(memory, memory.readU32(page + 0x228), 14)).toBe('console=ttyS0\0');
    expect(memory.slice(memory.readU32(page + 0x218), memory.readU32(page + 0x21c))).toEqual(INITRD);
    expect(memory.readU8(page + 0x1ef)).toBe(0); // sentinel: nothing of the boot sector but the header
    expect(memory.readU8(page + 0x1e8)).toBe(3);
    expect([memory.readU64(page + 0x2d0 + 40), memory.readU64(page + 0x2d0 + 48)]).toEqual([0x10_0000n, 0x1f0_0000n]);
    expect(state.registers.rip).toBe(BigInt(16 * MIB + 0x200));
  });

  test('an ELF kernel gets a setup header that says which protocol it is', () => {
    const memory = makeMemory(32 * MIB);

    loadKernel(memory, planBoot(request(sampleElf())), MACHINE);

    expect(text(memory, ZERO_PAGE_ADDRESS + 0x202, 4)).toBe('HdrS');
    expect(memory.readU16(ZERO_PAGE_ADDRESS + 0x1fe)).toBe(0xaa55);
    expect(memory.readU16(ZERO_PAGE_ADDRESS + 0x206)).toBe(0x20f);
    expect(memory.readU32(ZERO_PAGE_ADDRESS + 0x21c)).toBe(0);
  });

  test('the MP table names every processor', () => {
    const memory = makeMemory(32 * MIB);

    loadKernel(memory, planBoot(request(sampleElf())), MACHINE);

    expect(text(memory, MP_TABLE_ADDRESS, 4)).toBe('_MP_');
    expect([memory.readU8(MP_TABLE_ADDRESS + 60), memory.readU8(MP_TABLE_ADDRESS + 80)]).toEqual([0, 0]);
  });

  test('the reset vector has code that resets by port 0x64', () => {
    const memory = makeMemory(32 * MIB);

    loadKernel(memory, planBoot(request(sampleElf())), MACHINE);

    expect([...memory.slice(0xf_fff0, 7)]).toEqual([0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd]);
  });

  test('the ACPI tables are where the zero page and the start info say', () => {
    const memory = makeMemory(32 * MIB);
    const file = sampleElf({ pvhEntry: 16 * MIB });

    loadKernel(memory, planBoot(request(file)), MACHINE);
    loadKernel(memory, planBoot(request(file, { protocol: 'pvh' })), MACHINE);

    expect(text(memory, ACPI_TABLES_ADDRESS, 8)).toBe('RSD PTR ');
    expect(memory.readU64(ZERO_PAGE_ADDRESS + 0x70)).toBe(BigInt(ACPI_TABLES_ADDRESS));
    expect(memory.readU64(PVH_START_INFO_ADDRESS + 32)).toBe(BigInt(ACPI_TABLES_ADDRESS));
  });

  test('PVH: the start info has the RAM disk as its module, the command line and the memory map', () => {
    const memory = makeMemory(32 * MIB);
    const plan = planBoot(request(sampleElf({ pvhEntry: 16 * MIB }), { protocol: 'pvh', initrd: INITRD }));

    const state = loadKernel(memory, plan, MACHINE);

    const info = Number(state.registers.rbx);
    const modules = Number(memory.readU64(info + 16));
    const map = Number(memory.readU64(info + 40));
    expect(info).toBe(PVH_START_INFO_ADDRESS);
    expect([memory.readU32(info), memory.readU32(info + 4), memory.readU32(info + 12)]).toEqual([0x336ec578, 1, 1]);
    expect(memory.slice(Number(memory.readU64(modules)), Number(memory.readU64(modules + 8)))).toEqual(INITRD);
    expect(memory.readU64(info + 24)).toBe(BigInt(COMMAND_LINE_ADDRESS));
    expect(memory.readU32(info + 48)).toBe(3);
    expect([memory.readU64(map + 48), memory.readU64(map + 56), memory.readU32(map + 64)]).toEqual([
      0x10_0000n,
      0x1f0_0000n,
      1,
    ]);
  });

  test('PVH without a RAM disk has no module', () => {
    const memory = makeMemory(32 * MIB);

    loadKernel(memory, planBoot(request(sampleElf({ pvhEntry: 16 * MIB }), { protocol: 'pvh' })), MACHINE);

    expect(memory.readU32(PVH_START_INFO_ADDRESS + 12)).toBe(0);
    expect(memory.readU64(PVH_START_INFO_ADDRESS + 16)).toBe(0n);
  });
});
