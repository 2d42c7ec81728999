// Names of systemd's units, and the control groups that it makes for them.
import { posix } from 'node:path';
import { CgroupError } from './cgroup-error.ts';

const SLICE = '.slice';

/** linux.cgroupsPath in the form of `--systemd-cgroup`, "slice:prefix:name". */
export interface SystemdPath {
  readonly slice: string;
  readonly unit: string;
}

/**
 * @param cgroupsPath empty: a scope of its own for the container, in the default slice
 * @throws CgroupError INVALID_PATH
 */
export function parseSystemdPath(cgroupsPath: string, id: string, isUser: boolean): SystemdPath {
  const defaultSlice = isUser ? 'user.slice' : 'system.slice';
  const parts = cgroupsPath === '' ? ['', 'tskata', id] : cgroupsPath.split(':');
  const [slice, prefix, name] = parts;
  if (parts.length !== 3 || slice === undefined || prefix === undefined || name === undefined) {
    const message = `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got ${JSON.stringify(cgroupsPath)} instead`;
    throw new CgroupError('INVALID_PATH', message);
  }
  // systemd.unit(5): a slice is a unit of its own; everything else that starts from processes is a scope.
  const unit = name.endsWith(SLICE) ? name : `${prefix}-${name}.scope`;
  // systemd.unit(5), "Unit names": ASCII letters, digits and ":-_.\", at most 255 of them; a template is none.
  if (name === '' || !/^[\w:.\\@-]{1,255}$/.test(unit)) {
    const message = `linux.cgroupsPath gives the name ${JSON.stringify(unit)}, which no unit of systemd can have`;
    throw new CgroupError('INVALID_PATH', message);
  }
  return { slice: slice === '' ? defaultSlice : slice, unit };
}

/**
 * The path of a slice: each dash in its name is a step down (systemd.slice(5)), so that a-b.slice is /a.slice/a-b.slice.
 * @throws CgroupError INVALID_PATH
 */
export function slicePath(slice: string): string {
  const stem = slice.endsWith(SLICE) ? slice.slice(0, -SLICE.length) : '';
  if (stem === '-') return '/';
  const parts = stem.split('-');
  if (parts.includes('') || stem.includes('/')) throw new CgroupError('INVALID_PATH', `invalid slice name: ${slice}`);
  const steps = parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}${SLICE}`);
  return posix.join('/', ...steps);
}
