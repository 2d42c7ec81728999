// Reads a command line as Go's programs do, which callers of runc expect: `-name` is `--name`, `-name=value`, `-debug=false`.
// Verbs and their flags are data. A library for command lines would take longer to start than a verb does (docs/benchmarks.md).

interface FlagText {
  readonly about: string;
  readonly short?: string;
  /** Taken, but not shown. */
  readonly isHidden?: true;
}

/** How a flag is written, and what it gives. */
export interface Flag<Value> extends FlagText {
  /** What stands for the value in the help; a flag without takes none. */
  readonly placeholder?: string;
  /** @param earlier what it was given before, in the same command line @throws Error that says what is wrong with the text */
  readonly read: (text: string, earlier: Value | undefined) => Value;
  /** What it gives when it is not given. */
  readonly otherwise?: Value;
}

// biome-ignore lint/suspicious/noExplicitAny: flags of all kinds stand side by side, each with its own values
export type Flags = Readonly<Record<string, Flag<any>>>;

type Camel<Name> = Name extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name;
type ValueOf<Of> = Of extends Flag<infer Value> ? Value : never;
type Given<F extends Flags> = { readonly [Name in keyof F as Camel<Name>]?: Exclude<ValueOf<F[Name]>, undefined> };
type Certain<F extends Flags> = {
  readonly [Name in keyof F as F[Name] extends { readonly otherwise: unknown } ? Camel<Name> : never]: ValueOf<F[Name]>;
};

/** What flags give, by their names in camel case. */
export type FlagValues<F extends Flags> = Given<F> & Certain<F>;

/** A command line that is not understood: the message is runc's. */
export class UsageError extends Error {}

/** strconv.ParseBool */
const BOOLEANS = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

/** A flag that is there or not. */
export function switched(text: FlagText): Flag<boolean> {
  return {
    ...text,
    read(value) {
      const found = BOOLEANS.get(value);
      if (found === undefined) throw new Error('parse error');
      return found;
    },
  };
}

type Placed = FlagText & { readonly placeholder: string };

export function text(shown: Placed): Flag<string> {
  return { ...shown, read: (value) => value };
}

export function textOr(otherwise: string, shown: Placed): Flag<string> & { readonly otherwise: string } {
  return { ...text(shown), otherwise };
}

/** One of these words. */
export function word(words: readonly string[], otherwise: string, shown: Placed): Flag<string> & { otherwise: string } {
  const read = (value: string): string => {
    if (!words.includes(value)) throw new Error(`allowed are ${words.join(', ')}`);
    return value;
  };
  return { ...shown, read, otherwise };
}

/** A whole number; 0 when absent. */
export function count(shown: Placed): Flag<number> & { readonly otherwise: number } {
  const read = (value: string): number => {
    if (!/^\d+$/.test(value)) throw new Error('parse error');
    return Number(value);
  };
  return { ...shown, read, otherwise: 0 };
}

/** A flag that may be given again and again. */
export function texts(shown: Placed): Flag<readonly string[]> {
  return { ...shown, read: (value, earlier = []) => [...earlier, value] };
}

/** `--help`, everywhere. */
const HELP = ['help', 'h'];

/** What was found in a command line, up to where it was not understood. */
export interface Found {
  readonly values: Record<string, unknown>;
  readonly args: string[];
  wantsHelp: boolean;
}

export function nothingFound(flags: Flags): Found {
  const defaults = Object.entries(flags).filter(([, { otherwise }]) => otherwise !== undefined);
  return {
    values: Object.fromEntries(defaults.map(([name, { otherwise }]) => [camel(name), otherwise])),
    args: [],
    wantsHelp: false,
  };
}

/**
 * Reads flags and arguments into `found`.
 * @param endsAtArgument whether what follows the first argument is all arguments: somebody else's command line
 * @throws UsageError
 */
export function readCommandLine(words: readonly string[], flags: Flags, found: Found, endsAtArgument: boolean): void {
  const given = new Set<string>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word);
    if (match === null || word === '-') {
      if (word !== '--') found.args.push(word);
      if (word === '--' || endsAtArgument) {
        found.args.push(...words.slice(index + 1));
        return;
      }
      continue;
    }
    const [, written = '', inline] = match;
    const name = Object.keys(flags).find((name) => name === written || flags[name]?.short === written);
    const flag = name === undefined ? undefined : flags[name];
    if (name === undefined || flag === undefined) {
      if (!HELP.includes(written)) throw new UsageError(`flag provided but not defined: -${written}`);
      found.wantsHelp = true;
      continue;
    }
    const value = inline ?? (flag.placeholder === undefined ? 'true' : words[++index]);
    if (value === undefined) throw new UsageError(`flag needs an argument: -${written}`);
    const key = camel(name);
    found.values[key] = readValue(flag, value, given.has(key) ? found.values[key] : undefined, written);
    given.add(key);
  }
}

function readValue(flag: Flag<unknown>, value: string, earlier: unknown, written: string): unknown {
  try {
    return flag.read(value, earlier);
  } catch (error) {
    const isSwitch = flag.placeholder === undefined;
    const what = isSwitch
      ? `invalid boolean value "${value}" for -${written}`
      : `invalid value "${value}" for flag -${written}`;
    throw new UsageError(`${what}: ${(error as Error).message}`);
  }
}

function camel(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
