// Control files of cgroups.
import * as abi from '../../linux/abi.gen.ts';
import { isErrno } from '../../linux/call.ts';
import { readText } from '../../linux/file.ts';

/** The text of a file. @returns undefined where the kernel has no such control, or the cgroup is gone */
export function readControl(directory: string, file: string): string | undefined {
  try {
    return readText(`${directory}/${file}`);
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ENODEV, abi.EOPNOTSUPP)) return undefined;
    throw error;
  }
}
