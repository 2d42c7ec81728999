// Paths of the guest that the host may name: those below /run/tskata. Pure.
import { GUEST_DIRECTORY } from '../../../src/protocol/agent-service.ts';
import { StatusError } from '../../../src/protocol/status.ts';

/** Names from GUEST_DIRECTORY on, at least one. @throws StatusError INVALID_ARGUMENT */
export function namesBelow(path: string): [string, ...string[]] {
  const [first, ...rest] = path.startsWith(`${GUEST_DIRECTORY}/`)
    ? path.slice(GUEST_DIRECTORY.length + 1).split('/')
    : [];
  const isName = (name: string): boolean => name !== '' && name !== '.' && name !== '..' && !name.includes('\0');
  if (first === undefined || ![first, ...rest].every(isName)) {
    const wanted = `a path below ${GUEST_DIRECTORY}, without ".", ".." and empty names`;
    throw new StatusError('INVALID_ARGUMENT', `${JSON.stringify(path)} is not ${wanted}`);
  }
  return [first, ...rest];
}
