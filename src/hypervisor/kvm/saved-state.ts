// What saved states of vCPUs and machines have in common: they come from a file, and are checked before they are used.
import { shownValue } from '../../lib/errors.ts';
import type { KernelStructures } from '../ports.ts';
import { KvmError } from './error.ts';

/** The only version so far of VcpuState and MachineState. */
const VERSION = 1;

/**
 * Checks what does not depend on the host.
 * @param known names that this version has
 * @throws KvmError STATE_INVALID
 */
export function checkState(
  state: { readonly version: number; readonly structures: KernelStructures },
  subject: string,
  known: readonly string[],
): void {
  if (!isObject(state) || !isObject(state.structures))
    throw new KvmError('STATE_INVALID', `${subject} is ${shownValue(state)}, which is no state`);
  if (state.version !== VERSION)
    throw new KvmError(
      'STATE_INVALID',
      `${subject} is of version ${shownValue(state.version)}, this program reads ${VERSION}`,
      {
        version: shownValue(state.version),
      },
    );
  const unknown = Object.keys(state.structures).filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new KvmError('STATE_INVALID', `${subject} has what this program does not know: ${unknown.join(', ')}`);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** @throws KvmError STATE_INVALID when the structure is not there, or not of `size` bytes (any, if not given) */
export function bytesOf(structures: KernelStructures, name: string, subject: string, size?: number): Uint8Array {
  const bytes = structures[name];
  if (!(bytes instanceof Uint8Array))
    throw new KvmError('STATE_INVALID', `${subject} lacks ${name}`, { structure: name });
  if (size === undefined || bytes.length === size) return bytes;
  const message = `${name} of ${subject} has ${bytes.length} bytes instead of ${size}`;
  throw new KvmError('STATE_INVALID', message, { structure: name, size: bytes.length, expected: size });
}

/**
 * Runs an ioctl that writes a part of a saved state.
 * @throws KvmError STATE_UNSUPPORTED when KVM refuses it
 */
export function refusing<T>(subject: string, ioctl: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof KvmError) || cause.code !== 'CALL_FAILED') throw cause;
    const message = `this host's KVM refuses ${ioctl} of ${subject}: ${cause.message}`;
    throw new KvmError('STATE_UNSUPPORTED', message, { ...cause.details, ioctl }, { cause });
  }
}
