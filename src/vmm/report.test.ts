import { describe, expect, test } from 'vitest';
import { vmReport } from './report.ts';
import { counterText, reportSvg } from './report-svg.ts';

const report = vmReport({
  marks: [
    { name: 'command-start', monotonicNs: 10_000_000n },
    { name: 'vm-start', monotonicNs: 60_000_000n },
    { name: 'kernel-entry', monotonicNs: 61_000_000n },
  ],
  machine: {
    kernelPath: '/boot/vmlinux',
    commandLine: '',
    memoryMib: 128,
    maxMemoryMib: 128,
    cpus: 2,
    maxCpus: 2,
    devices: [{ name: 'a<b>.raw', type: 'block' }],
    consoles: [],
  },
  metrics: {
    uptimeMs: 1234.5,
    exits: { KVM_EXIT_MMIO: 12, KVM_EXIT_IO: 3456 },
    devices: [
      { name: 'a<b>.raw', type: 'block', counters: { read_bytes: 3 * 1024 * 1024, write_bytes: 0 } },
      { name: 'rng', type: 'rng', counters: {} },
    ],
    memory: { residentBytes: 6e7, peakResidentBytes: 8e7, anonymousBytes: 2e7, fileBytes: 1e7, sharedBytes: 3e7 },
  },
  reason: { kind: 'guest-reset' },
});

describe('a report', () => {
  test('has what a start report has, and why the VM ended, what it was and what it did', () => {
    expect(report).toMatchObject({
      marks: [{ name: 'command-start', monotonicNs: '10000000' }, { name: 'vm-start' }, { name: 'kernel-entry' }],
      exits: { KVM_EXIT_IO: 3456 },
      endReason: 'the guest reset the machine',
      stopped: { reason: 'guest-reset', message: 'the guest reset the machine' },
      machine: { memoryMib: 128 },
      uptimeMs: 1234.5,
      memory: { peakResidentBytes: 8e7 },
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test('as a picture has a bar for each span, exit reason and kind of memory, and the counters that are not 0', () => {
    const svg = reportSvg('a & b', report);

    expect(svg.match(/<rect x=/g)).toHaveLength(2 + 2 + 3);
    expect(svg).toContain('a &amp; b');
    expect(svg).toContain('block: a&lt;b&gt;.raw');
    expect(svg).toContain('3.0 MiB');
    expect(svg).not.toContain('write bytes');
    expect(svg).toContain('nothing counted');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('of a VM that did nothing is a picture too', () => {
    const svg = reportSvg('t', { ...report, exits: {}, devices: [], marks: [] });

    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });
});

test.each([
  ['read_requests', 1234567, '1,234,567'],
  ['read_bytes', 1023, '1,023'],
  ['read_bytes', 1024, '1.0 KiB'],
  ['read_bytes', 5 * 1024 ** 3, '5.0 GiB'],
  ['read_bytes', 3 * 1024 ** 5, '3072.0 TiB'],
])('the counter %s of %i reads %s', (name, value, text) => {
  expect(counterText(name, value)).toBe(text);
});
