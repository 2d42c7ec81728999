import { expect, test } from 'vitest';
import type { CpuidEntry } from '../ports.ts';
import { missingFeatures } from './cpuid-features.ts';

const AVX2 = 1 << 5;
const AVX512F = 1 << 16;
const TSC_DEADLINE = 1 << 24;
const OSXSAVE = 1 << 27;
const HYPERVISOR = 1 << 31;

function leaf(number: number, registers: Partial<CpuidEntry>): CpuidEntry {
  return { function: number, index: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0, ...registers };
}

function vendorLeaf(name: string): CpuidEntry {
  const [ebx = 0, edx = 0, ecx = 0] = new Uint32Array(new TextEncoder().encode(name).buffer);
  return leaf(0, { ebx, edx, ecx });
}

const INTEL = vendorLeaf('GenuineIntel');
const HOST = { supported: [INTEL, leaf(1, { ecx: 1 }), leaf(7, { ebx: AVX2 })], hasTscDeadlineTimer: true };

test('a guest with no more than the host has is welcome, whatever it switched on itself', () => {
  const guest = [INTEL, leaf(1, { ecx: 1 | OSXSAVE | HYPERVISOR | TSC_DEADLINE }), leaf(7, { ebx: AVX2 })];

  expect(missingFeatures(guest, HOST)).toEqual([]);
});

test('a feature that the host lacks is told by leaf, register and bits', () => {
  const guest = [INTEL, leaf(7, { ebx: AVX2 | AVX512F }), leaf(0x8000_0001, { edx: 1 << 31 })];

  expect(missingFeatures(guest, HOST)).toEqual([
    'CPUID leaf 0x7.0 EBX bits 0x10000',
    'CPUID leaf 0x80000001 EDX bits 0x80000000',
  ]);
});

test('a processor of another vendor is told as such', () => {
  expect(missingFeatures([vendorLeaf('AuthenticAMD')], HOST)).toEqual([
    "a processor of AuthenticAMD (this host's is of GenuineIntel)",
  ]);
});

test('the deadline timer is compared with the capability, for CPUID does not show it', () => {
  const guest = [INTEL, leaf(1, { ecx: TSC_DEADLINE })];

  expect(missingFeatures(guest, { ...HOST, hasTscDeadlineTimer: false })).toEqual(['KVM_CAP_TSC_DEADLINE_TIMER']);
});

test('a guest without any CPUID needs nothing', () => {
  expect(missingFeatures([], HOST)).toEqual([]);
});
