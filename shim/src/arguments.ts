// The command line of a containerd shim (containerd, core/runtime/v2/README.md, "Commands"), as Go's package flag reads it.

const WITH_VALUE = ['namespace', 'id', 'address', 'publish-binary', 'bundle', 'socket'] as const;
const WITHOUT_VALUE = ['debug', 'v', 'info', 'h', 'help'] as const;

type Flag = (typeof WITH_VALUE)[number] | (typeof WITHOUT_VALUE)[number];

export interface ShimArguments {
  /** A flag without a value has the empty one. */
  readonly flags: Readonly<Partial<Record<Flag, string>>>;
  /** `start`, `delete`, or nothing. */
  readonly action: string | undefined;
}

export const USAGE = `usage: containerd-shim-tskata-v2 -namespace NAME -id ID -address SOCKET [-publish-binary FILE] [-debug] start
       containerd-shim-tskata-v2 -namespace NAME -id ID -address SOCKET [-bundle DIRECTORY] [-debug] delete
       containerd-shim-tskata-v2 -v | -info | -h

containerd calls it: as runtime io.containerd.tskata.v2 where this program is in its PATH, or by its absolute path.
`;

/** @param words behind the program's name. @throws Error naming a flag that containerd has not, or that lacks its value */
export function parseArguments(words: readonly string[]): ShimArguments {
  const flags: Partial<Record<Flag, string>> = {};
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    const [, name, assigned] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    // The first word that is no flag ends them, as `--` does.
    if (name === undefined) return { flags, action: word === '--' ? words[index + 1] : word };
    if (isOneOf(WITHOUT_VALUE, name)) {
      flags[name] = assigned ?? '';
    } else if (isOneOf(WITH_VALUE, name)) {
      const value = assigned ?? words[++index];
      if (value === undefined) throw new Error(`flag needs an argument: ${word}`);
      flags[name] = value;
    } else {
      throw new Error(`flag provided but not defined: ${word}`);
    }
  }
  return { flags, action: undefined };
}

function isOneOf<Name extends string>(names: readonly Name[], name: string): name is Name {
  return (names as readonly string[]).includes(name);
}
