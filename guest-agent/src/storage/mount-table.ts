// What is mounted where in the guest.
import { readText } from '../linux/file.ts';
import { mountPointsOf } from './mountinfo.ts';

/** Paths of all mounts below `directory`, in the order they were mounted. */
export function mountsBelow(directory: string): string[] {
  return mountPointsOf(readText('/proc/self/mountinfo')).filter((path) => path.startsWith(`${directory}/`));
}
