// A report as one picture: the timeline, the exits by reason, the memory, and what each device has counted.
import { MIB } from '../lib/units.ts';
import type { VmReport } from './report.ts';
import { barSection, numberSection, type Section, svgPage, textSection } from './svg.ts';
import { reportMarks, timelineRows, timelineSection } from './timeline.ts';

const numbers = new Intl.NumberFormat('en-US');

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

/** A count as a person reads it: bytes in units when its name says that it is of bytes. */
export function counterText(name: string, value: number): string {
  if (!name.endsWith('_bytes') || value < 1024) return numbers.format(value);
  const power = Math.min(Math.floor(Math.log2(value) / 10), UNITS.length);
  return `${(value / 1024 ** power).toFixed(1)} ${UNITS[power - 1]}`;
}

function exitSection(exits: VmReport['exits']): Section {
  const counts = Object.entries(exits).sort(([, a], [, b]) => b - a);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const most = Math.max(...counts.map(([, count]) => count), 1);
  const bars = counts.map(([reason, count]) => ({
    label: reason,
    start: 0,
    length: count / most,
    value: numbers.format(count),
  }));
  return barSection(bars, { heading: `Exits of the vCPUs to the VMM: ${numbers.format(total)}` });
}

function memorySection({ memory }: VmReport): Section {
  const parts = [
    ['guest memory that was touched', memory.sharedBytes],
    ["the VMM's heaps", memory.anonymousBytes],
    ['programs and libraries', memory.fileBytes],
  ] as const;
  const all = Math.max(memory.residentBytes, 1);
  const bars = parts.map(([label, bytes]) => ({
    label,
    start: 0,
    length: bytes / all,
    value: `${(bytes / MIB).toFixed(1)} MiB`,
  }));
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
  const heading = `Memory of the VMM's process: ${mib(memory.residentBytes)} at the end, ${mib(memory.peakResidentBytes)} at most`;
  return barSection(bars, { heading });
}

/** Counters that are 0 are left out. */
function deviceSection(devices: VmReport['devices']): Section {
  const groups = devices.map(({ name, type, counters }) => {
    const rows = Object.entries(counters)
      .filter(([, value]) => value !== 0)
      .map(([counter, value]) => ({ label: counter.replaceAll('_', ' '), value: counterText(counter, value) }));
    return {
      name: name === type ? name : `${type}: ${name}`,
      rows: rows.length === 0 ? [{ label: 'nothing counted', value: '' }] : rows,
    };
  });
  return numberSection('Devices', groups);
}

function facts({ machine, stopped, uptimeMs, hostKernelRelease }: VmReport): string[] {
  const { cpus, memoryMib, kernelPath } = machine;
  const of = kernelPath === undefined ? 'from a snapshot' : `of ${kernelPath}`;
  return [
    `${cpus} vCPU${cpus === 1 ? '' : 's'}, ${memoryMib} MiB, ${of}; host kernel ${hostKernelRelease}`,
    `ran for ${(uptimeMs / 1000).toFixed(2)} s until ${stopped.message}`,
  ];
}

export function reportSvg(title: string, report: VmReport): string {
  return svgPage(title, [
    textSection(facts(report)),
    timelineSection(timelineRows(reportMarks(report))),
    exitSection(report.exits),
    memorySection(report),
    ...(report.devices.length === 0 ? [] : [deviceSection(report.devices)]),
  ]);
}
