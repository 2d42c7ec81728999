// What is said of a VM that cannot be.
import { TskataError } from '../lib/errors.ts';

/** The configuration asks for a VM that cannot be: the message names the key, what was found and what is allowed. */
export class VmConfigError extends TskataError<'INVALID_CONFIG'> {
  constructor(key: string, found: string, allowed: string) {
    super('INVALID_CONFIG', `${key} is ${found}; allowed is ${allowed}`, { key, found, allowed });
  }
}

/** @throws VmConfigError unless the value is a whole number between the two, both included */
export function checkInteger(key: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new VmConfigError(key, String(value), `a whole number from ${minimum} to ${maximum}`);
  }
}
