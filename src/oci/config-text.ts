// Reads the text of config.json.

/** What an argument's condition in linux.seccomp looks like: its values are the only ones of 64 bits that must be exact. */
interface SeccompCondition {
  readonly op?: unknown;
}

/** What a reviver is told beside the value (ECMAScript, "JSON.parse source text access"). */
interface ReviverContext {
  /** A number as it is written. */
  readonly source?: string;
}

/**
 * Parses config.json. Values of linux.seccomp's conditions that numbers cannot hold become bigints; JSON.parse alone would round
 * them to their neighbours.
 * @throws SyntaxError
 */
export function parseConfigText(text: string): unknown {
  return JSON.parse(text, exactSeccompValue as Parameters<typeof JSON.parse>[1]);
}

function exactSeccompValue(
  this: SeccompCondition,
  key: string,
  value: unknown,
  { source = '' }: ReviverContext,
): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  if (key !== 'value' && key !== 'valueTwo') return value;
  return String(this.op).startsWith('SCMP_CMP_') && /^\d+$/.test(source) ? BigInt(source) : value;
}
