// What all errors of this project have in common: a stable code, the facts as fields, and the cause.

/** Facts about what failed: a path, an ioctl, an errno, a guest address. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/**
 * Base of one error class per subsystem.
 * The message says what was tried, on what, and what to do; `code` is stable and is what programs compare.
 */
export abstract class TskataError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly details: ErrorDetails;

  constructor(code: Code, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

const SHOWN_LENGTH = 60;

/** A value of any kind as a message shows it: its JSON, cut. */
export function shownValue(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? Number(one) : one)) ?? String(value);
  return text.slice(0, SHOWN_LENGTH);
}
