// Go's way of writing flags, which callers of runc use, made into getopt's.

/**
 * Gives `-name` two dashes, `-x=value` a space, and takes `=true` and `=false` off boolean flags (`=false` takes the flag away).
 * @param booleans names of the flags that take no value
 */
export function goFlags(args: readonly string[], booleans: ReadonlySet<string>): string[] {
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  const rest = end < 0 ? [] : args.slice(end);
  return [...flags.flatMap((arg) => goFlag(arg, booleans)), ...rest];
}

function goFlag(arg: string, booleans: ReadonlySet<string>): string[] {
  const match = /^--?([a-zA-Z][\w-]*)(?:=(.*))?$/s.exec(arg);
  const name = match?.[1];
  if (name === undefined) return [arg];
  const flag = name.length === 1 ? `-${name}` : `--${name}`;
  const value = match?.[2];
  if (value === undefined) return [flag];
  if (booleans.has(name)) return /^(0|f|false)$/i.test(value) ? [] : [flag];
  return [flag, value];
}
