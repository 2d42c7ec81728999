// Writes limits into the folders of a container's control groups: all of them, or none.
import { posix } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { CgroupError, errnoOf } from './cgroup-error.ts';
import { type ControlFiles, tryRead } from './control-files.ts';
import type { ControlWrite } from './limits.ts';
import type { CgroupPlace, CgroupRecord } from './plan.ts';

/**
 * Some values fit only after others (a quota its burst, memory its swap): what is refused is tried again behind the rest.
 * @returns what gives all of them their old values back
 * @throws CgroupError CANNOT_LIMIT that names the field and the file; what was written before has its old value then
 */
export function writeLimits(files: ControlFiles, record: CgroupRecord, writes: readonly ControlWrite[]): () => void {
  const undo: (() => void)[] = [];
  const takeBack = (): void => {
    for (const back of undo.reverse()) back();
  };
  try {
    const refused = writes.filter((write) => {
      try {
        undo.push(writeLimit(files, record, write));
        return false;
      } catch (error) {
        if (error instanceof CgroupError && error.details['errno'] === 'EINVAL') return true;
        throw error;
      }
    });
    for (const write of refused) undo.push(writeLimit(files, record, write));
  } catch (error) {
    takeBack();
    throw error;
  }
  return takeBack;
}

/** @returns what gives the file its old value back */
function writeLimit(files: ControlFiles, record: CgroupRecord, write: ControlWrite): () => void {
  const { file, field, isOptional, otherwise } = write;
  const place = placeOf(record, file);
  if (place === undefined) {
    if (isOptional === true) return () => {};
    const controller = file.split('.')[0];
    // runc's words.
    const message = `cannot set ${controller} limit: container could not join or create cgroup (linux.resources.${field})`;
    throw new CgroupError('CANNOT_LIMIT', message, { file });
  }
  const path = posix.join(place.path, file);
  try {
    const before = currentValue(files, path);
    const value = typeof write.value === 'string' ? write.value : write.value(before ?? '');
    files.write(path, value);
    return () => restore(files, path, before);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' && otherwise !== undefined) {
      return writeLimit(files, record, { field, ...otherwise, isOptional: isOptional === true });
    }
    if (errno === 'ENOENT' && isOptional === true) return () => {};
    const value = typeof write.value === 'string' ? ` to ${JSON.stringify(write.value)}` : '';
    const missing = errno === 'ENOENT' ? `: ${whyMissing(record, place, file)}` : '';
    const message = `linux.resources.${field}: cannot set ${path}${value}: ${messageOf(error)}${missing}`;
    throw new CgroupError('CANNOT_LIMIT', message, { path, errno }, { cause: error });
  }
}

function placeOf({ version, places }: CgroupRecord, file: string): CgroupPlace | undefined {
  const controller = file.split('.')[0] ?? '';
  return version === 2 ? places[0] : places.find(({ controllers }) => controllers.includes(controller));
}

/** Undefined for a file that cannot be read, or that has a line for each device. */
function currentValue(files: ControlFiles, path: string): string | undefined {
  const text = tryRead(files, path)?.trimEnd();
  return text?.includes('\n') === true || /^\d+:\d+ |^default /.test(text ?? '') ? undefined : text;
}

function restore(files: ControlFiles, path: string, before: string | undefined): void {
  if (before === undefined) return;
  try {
    files.write(path, before);
  } catch {
    // Its new value is one that was asked for; the error that is on its way says more.
  }
}

function whyMissing({ version }: CgroupRecord, { path }: CgroupPlace, file: string): string {
  const controller = file.split('.')[0];
  const parent = posix.dirname(path);
  return version === 1
    ? 'this kernel has no such control'
    : `this kernel has no such control, or ${parent}/cgroup.subtree_control does not pass ${controller} on`;
}
