// The *.config fragments and Kconfig's .config: both read into plain data.

/** What a fragment says an option must be. */
export interface Want {
  /** Name with its prefix, as in `CONFIG_SMP`. */
  readonly option: string;
  /** As Kconfig writes it: `y`, `32`, `"text"`; `n` for "is not set". */
  readonly value: string;
  /** File name of the fragment. */
  readonly fragment: string;
  /** Line in the fragment, counted from 1. */
  readonly line: number;
}

/** A fragment breaks a rule of README.md, "Fragments". */
export class FragmentError extends Error {
  readonly code = 'KERNEL_FRAGMENT';
  readonly fragment: string;
  readonly line: number;
  constructor(fragment: string, line: number, problem: string) {
    super(`kernel-config/${fragment}:${line}: ${problem}`);
    this.name = 'FragmentError';
    this.fragment = fragment;
    this.line = line;
  }
}

const SET = /^(CONFIG_\w+)=(y|n|-?\d+|0x[0-9a-fA-F]+|"(?:[^"\\]|\\.)*")$/;
const NOT_SET = /^# (CONFIG_\w+) is not set$/;

/** One line of a fragment or a .config: an option and its value, or undefined when the line sets nothing. */
function parseOption(line: string): { option: string; value: string } | undefined {
  const off = NOT_SET.exec(line)?.[1];
  if (off !== undefined) return { option: off, value: 'n' };
  const [, option, value] = SET.exec(line) ?? [];
  return option === undefined || value === undefined ? undefined : { option, value };
}

/**
 * Reads a fragment. Every option needs its reason: a comment above it in the same paragraph.
 * @throws FragmentError for a line that is neither an option nor a comment, and for an option without a reason
 */
export function parseFragment(fragment: string, text: string): Want[] {
  const wants: Want[] = [];
  let reasoned = false;
  for (const [index, line] of text.split('\n').entries()) {
    const parsed = parseOption(line);
    if (parsed !== undefined) {
      if (!reasoned)
        throw new FragmentError(fragment, index + 1, `${parsed.option} has no comment above it that says why`);
      wants.push({ ...parsed, fragment, line: index + 1 });
    } else if (line === '') {
      reasoned = false;
    } else if (line.startsWith('#')) {
      reasoned = true;
    } else {
      throw new FragmentError(fragment, index + 1, `"${line}" is neither CONFIG_NAME=value nor a comment`);
    }
  }
  return wants;
}

/**
 * Puts the wants of all fragments together.
 * @throws FragmentError when two lines set the same option
 */
export function mergeWants(fragments: readonly (readonly Want[])[]): Want[] {
  const seen = new Map<string, Want>();
  for (const want of fragments.flat()) {
    const first = seen.get(want.option);
    if (first !== undefined)
      throw new FragmentError(
        want.fragment,
        want.line,
        `${want.option} is set in ${first.fragment}:${first.line} already`,
      );
    seen.set(want.option, want);
  }
  return [...seen.values()];
}

/** The wants in Kconfig's own words, sorted: input for `KCONFIG_ALLCONFIG`, and the same whatever the comments say. */
export function renderWants(wants: readonly Want[]): string {
  const line = ({ option, value }: Want): string => (value === 'n' ? `# ${option} is not set` : `${option}=${value}`);
  return `${wants.map(line).sort().join('\n')}\n`;
}

/** Reads the .config that Kconfig wrote: option to value. Options that it does not mention are not in the map. */
export function parseConfig(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const line of text.split('\n')) {
    const parsed = parseOption(line);
    if (parsed !== undefined) options.set(parsed.option, parsed.value);
  }
  return options;
}
