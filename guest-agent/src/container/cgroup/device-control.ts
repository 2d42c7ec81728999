// Lets a cgroup have the devices that rules allow, and no others.
import { messageOf } from '../../../../src/lib/errors.ts';
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type BpfHook, linkProgram, loadProgram, replaceLinkedProgram } from '../../linux/bpf.ts';
import { close, open, withFd } from '../../linux/file.ts';
import type { DeviceRule } from '../config/device-rules.ts';
import { compileDeviceRules } from './device-filter.ts';

const DEVICES: BpfHook = { programType: abi.BPF_PROG_TYPE_CGROUP_DEVICE, attachType: abi.BPF_CGROUP_DEVICE };

/** The rules of one cgroup. They hold until the cgroup is removed or this is closed. */
export class DeviceControl {
  readonly #link: number;

  /** @throws StatusError */
  constructor(cgroupPath: string, rules: readonly DeviceRule[]) {
    this.#link = withProgram(rules, (program) =>
      withFd(open(cgroupPath, abi.O_RDONLY | abi.O_DIRECTORY), (cgroup) => linkProgram(DEVICES, program, cgroup)),
    );
  }

  /** Sets other rules, from one moment to the next. @throws StatusError, and the old ones hold then */
  replace(rules: readonly DeviceRule[]): void {
    withProgram(rules, (program) => replaceLinkedProgram(this.#link, program));
  }

  close(): void {
    close(this.#link);
  }
}

/** The link keeps a program; its descriptor is needed only on the way there. */
function withProgram<T>(rules: readonly DeviceRule[], action: (program: number) => T): T {
  try {
    return withFd(loadProgram(DEVICES, compileDeviceRules(rules)), action);
  } catch (cause) {
    const message = `the ${rules.length} rules for devices cannot be set: ${messageOf(cause)}`;
    throw new StatusError('FAILED_PRECONDITION', message, {}, { cause });
  }
}
