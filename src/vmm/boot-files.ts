// The images that a VM boots from, read and judged before there is a VM.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { parseKernel } from '../arch/x86_64/kernel-image.ts';
import { KernelImageError, type KernelImageErrorCode } from '../arch/x86_64/kernel-image-error.ts';
import { type BootPlan, planBoot } from '../arch/x86_64/load-kernel.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';
import type { VmConfig } from './config.ts';

/** A kernel or initrd was refused; the message names the file and the reason. */
export class BootFileError extends TskataError<KernelImageErrorCode | 'UNREADABLE'> {}

/** Reads a file and nothing else: a pipe would hang, a device might never end. */
function readBootFile(path: string): Buffer {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) throw new TypeError('it is no regular file');
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new BootFileError('UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { path }, { cause });
  }
}

/**
 * Reads and checks the images.
 * @returns what places them in memory together with a command line
 * @throws BootFileError, CommandLineError
 */
export function readBootFiles(config: VmConfig): (commandLine: string) => BootPlan {
  const { kernelPath, initrdPath } = config;
  const kernel = readBootFile(kernelPath);
  const initrd = initrdPath === undefined ? {} : { initrd: readBootFile(initrdPath) };
  try {
    const image = parseKernel(kernel);
    const plan = (commandLine: string): BootPlan =>
      planBoot({ image, memorySize: config.memoryMib * MIB, commandLine, ...initrd });
    plan(config.commandLine ?? '');
    return plan;
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    const files = initrdPath === undefined ? kernelPath : `${kernelPath} with ${initrdPath}`;
    throw new BootFileError(error.code, `cannot boot ${files}: ${error.message}`, error.details, { cause: error });
  }
}
