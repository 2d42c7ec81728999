// Texts of control files (Documentation/admin-guide/cgroup-v2.rst, "Interface Files").

export function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** A file that is one number. @returns undefined for "max" */
export function parseNumber(text: string): bigint | undefined {
  const word = text.trim();
  return /^[0-9]+$/.test(word) ? BigInt(word) : undefined;
}

/** A flat keyed file: a name and a number on each line. Lines that are otherwise are left out. */
export function parseFlatKeyed(text: string): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (const line of lines(text)) {
    const [name = '', value = ''] = line.split(' ');
    const number = parseNumber(value);
    if (number !== undefined) values.set(name, number);
  }
  return values;
}

/** A nested keyed file: a name on each line, and pairs `key=value` behind it. */
export function parseNestedKeyed(text: string): Map<string, Map<string, string>> {
  const entries = lines(text).map((line): [string, Map<string, string>] => {
    const [name = '', ...pairs] = line.trim().split(/\s+/);
    const values = pairs.map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return at < 0 ? ['', pair] : [pair.slice(0, at), pair.slice(at + 1)];
    });
    return [name, new Map(values)];
  });
  return new Map(entries);
}
