// How many processors and how much memory a VM has, and may get while it runs, as a user gives them: `2` or `2,max=8`,
// `256M` or `256M,max=4G`.
import { MIB } from '../lib/units.ts';
import { VmConfigError } from './config-error.ts';
import { type OptionSource, parseSize, readOptions } from './options.ts';

/** Reads a memory size as `128M`, `2G` or a plain count of MiB. @throws VmConfigError */
export function parseMemoryMib(text: string): number {
  const mib = /^\d+$/.test(text) ? Number(text) : (parseSize(text) ?? Number.NaN) / MIB;
  if (!Number.isSafeInteger(mib)) throw new VmConfigError('memory', JSON.stringify(text), 'a size such as 128M or 2G');
  return mib;
}

const MEMORY = {
  subject: 'memory',
  fields: { size: 'text', max: 'text' },
  first: (size: string) => ({ size }),
} as const;
const CPUS = {
  subject: 'cpus',
  fields: { count: 'integer', max: 'integer' },
  first: (count: string) => ({ count }),
} as const;

/** @throws VmConfigError */
export function readMemory(source: OptionSource | number): {
  readonly memoryMib: number;
  readonly maxMemoryMib?: number;
} {
  const { size, max } = readOptions(typeof source === 'number' ? String(source) : source, MEMORY);
  if (size === undefined) throw new VmConfigError('memory size', 'missing', 'a size such as 128M or 2G');
  return { memoryMib: parseMemoryMib(size), ...(max === undefined ? {} : { maxMemoryMib: parseMemoryMib(max) }) };
}

/** @throws VmConfigError */
export function readCpus(source: OptionSource | number): { readonly cpus: number; readonly maxCpus?: number } {
  const { count, max } = readOptions(typeof source === 'number' ? String(source) : source, CPUS);
  if (count === undefined) throw new VmConfigError('cpus count', 'missing', 'a whole number');
  return { cpus: count, ...(max === undefined ? {} : { maxCpus: max }) };
}
