// Go's way of writing flags, which callers of runc use, made into getopt's.

/**
 * Gives `-name` two dashes, `-x=value` a space, and takes `=true` and `=false` off boolean flags (`=false` takes the flag away).
 * @param booleans names of the flags that take no value
 * @param passing verbs whose first argument ends the flags
 */
export function goFlags(
  args: readonly string[],
  booleans: ReadonlySet<string>,
  passing: ReadonlySet<string> = new Set(),
): string[] {
  const end = endOfFlags(args, booleans, passing);
  return [...args.slice(0, end).flatMap((arg) => goFlag(arg, booleans)), ...args.slice(end)];
}

function endOfFlags(args: readonly string[], booleans: ReadonlySet<string>, passing: ReadonlySet<string>): number {
  let verb: string | undefined;
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--') return index;
    const flag = FLAG.exec(arg);
    if (flag === null) {
      if (verb !== undefined && passing.has(verb)) return index;
      verb ??= arg;
    } else if (flag[2] === undefined && !booleans.has(flag[1] ?? '')) {
      index++; // Its value, whatever that looks like.
    }
  }
  return args.length;
}

const FLAG = /^--?([a-zA-Z][\w-]*)(?:=(.*))?$/s;

function goFlag(arg: string, booleans: ReadonlySet<string>): string[] {
  const match = FLAG.exec(arg);
  const name = match?.[1];
  if (name === undefined) return [arg];
  const flag = name.length === 1 ? `-${name}` : `--${name}`;
  const value = match?.[2];
  if (value === undefined) return [flag];
  if (booleans.has(name)) return /^(0|f|false)$/i.test(value) ? [] : [flag];
  return [flag, value];
}
