// What a config.json asks for and this agent does not do.
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';

/** What would change a container's meaning or isolation if it were left out. */
export function unsupported(path: string, why: string): StatusError {
  return new StatusError('UNIMPLEMENTED', `config.json: ${path} is not supported: ${why}`, { path });
}

export function warn(warnings: string[], object: JsonObject | undefined, name: string, effect: string): void {
  if (object?.has(name)) warnings.push(`${object.pathOf(name)} is not applied: ${effect}`);
}
