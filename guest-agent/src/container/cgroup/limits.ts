// Writes a plan into the files of a cgroup: all of it, or nothing.
import { messageOf } from '../../../../src/lib/errors.ts';
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { isErrno, SystemError } from '../../linux/call.ts';
import { readText, writeText } from '../../linux/file.ts';
import { log } from '../../log.ts';
import type { CgroupWrite, UsageCheck } from '../config/resources.ts';
import { readControl } from './files.ts';
import { lines, parseNumber } from './text.ts';

/** What begins the lines of io.max and its like: a device. */
const DEVICE_LINE = /^[0-9]+:[0-9]+(?= )/;

/** What ends the limits of a device that had none. */
const NO_DEVICE_LIMITS: Readonly<Record<string, string>> = {
  'io.max': 'rbps=max wbps=max riops=max wiops=max',
  'io.weight': 'default',
  'io.latency': 'target=0',
};

/**
 * Writes all values in order. When one cannot be written those before it get their old values back.
 * @param path of the cgroup
 * @returns what takes all of them back
 * @throws StatusError that names the field, the file, the value and the kernel's reason
 */
export function applyWrites(path: string, writes: readonly CgroupWrite[]): () => void {
  const old: { file: string; value: string }[] = [];
  const undo = (): void => {
    for (const { file, value } of old.reverse()) {
      try {
        writeText(`${path}/${file}`, value);
      } catch (error) {
        log(`the old value ${value} of a limit cannot be restored: ${messageOf(error)}`);
      }
    }
  };
  for (const write of writes) {
    try {
      const value = textOf(path, write);
      const before = oldValue(path, write.file, value);
      writeText(`${path}/${write.file}`, value);
      if (before !== undefined) old.push({ file: write.file, value: before });
    } catch (error) {
      if (write.optional && isErrno(error, abi.ENOENT)) continue;
      undo();
      throw explain(write, error);
    }
  }
  return undo;
}

function textOf(path: string, { value }: CgroupWrite): string {
  return typeof value === 'string' ? value : value.derive(readText(`${path}/${value.of}`));
}

/** What is to be written to have things as they are. @returns undefined where the file cannot be read: it only triggers */
function oldValue(path: string, file: string, value: string): string | undefined {
  let text: string;
  try {
    text = readText(`${path}/${file}`);
  } catch (error) {
    if (isErrno(error, abi.EACCES, abi.EINVAL, abi.EPERM)) return undefined;
    throw error;
  }
  const device = DEVICE_LINE.exec(value)?.[0];
  if (device === undefined) return file === 'io.weight' ? defaultWeight(text) : text.trimEnd() || '\n';
  const line = lines(text).find((candidate) => candidate.startsWith(`${device} `));
  return line ?? `${device} ${NO_DEVICE_LIMITS[file] ?? ''}`.trimEnd();
}

function defaultWeight(text: string): string | undefined {
  return lines(text).find((line) => line.startsWith('default '));
}

function explain(write: CgroupWrite, error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  const value = typeof write.value === 'string' ? ` to ${JSON.stringify(write.value)}` : '';
  const missing = error.errno === abi.ENOENT ? ': this kernel has no such control' : '';
  const message = `${write.field}: cannot set ${write.file}${value}: ${error.reason}${missing}`;
  return new StatusError('FAILED_PRECONDITION', message, {}, { cause: error });
}

/**
 * Refuses limits below what is in use (linux.resources.memory.checkBeforeUpdate): the kernel would kill processes to meet them.
 * The texts are runc's.
 * @throws StatusError FAILED_PRECONDITION
 */
export function checkUsage(path: string, { limit, limitWithSwap }: UsageCheck): void {
  const usage = parseNumber(readControl(path, 'memory.current') ?? '');
  if (usage === undefined) return;
  for (const [name, value] of [
    ['memory+swap', limitWithSwap],
    ['memory', limit],
  ] as const) {
    if (value !== undefined && BigInt(value) <= usage) {
      throw new StatusError('FAILED_PRECONDITION', `rejecting ${name} limit ${value} <= usage ${usage}`);
    }
  }
}
