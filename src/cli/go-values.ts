// Values as Go's flag package and standard library read them from a command line: runc's callers write them so.

/** time.ParseDuration: units in nanoseconds; both letters that look like a mu are micro. */
const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  '\u00b5s': 1e3,
  '\u03bcs': 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const PARTS = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;

/**
 * Reads a duration such as 5s, 100ms, 1m30s or -1.5h.
 * @returns milliseconds; undefined for what is no duration: a number needs its unit
 */
export function parseDurationMs(text: string): number | undefined {
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === '0') return 0;
  if (rest === '' || rest.replaceAll(PARTS, '') !== '') return undefined;
  const parts = [...rest.matchAll(PARTS)].map(([, number, unit]) => Number(number) * (NANOSECONDS[unit ?? ''] ?? 0));
  const sumMs = parts.reduce((sum, part) => sum + part, 0) / 1e6;
  return sign === '-' ? -sumMs : sumMs;
}

/** Reads a whole number as an integer flag of Go does, of 64 bits. @returns undefined for what is none */
export function parseInteger(text: string): number | undefined {
  const isNumber = /^[+-]?(\d+|0x[\da-f]+)$/i.test(text);
  const number = text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
  return isNumber && Math.abs(number) <= 2 ** 63 ? number : undefined;
}
