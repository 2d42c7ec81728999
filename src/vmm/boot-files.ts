// The images that a VM boots from, read and judged before there is a VM.
import { readFileSync } from 'node:fs';
import { type KernelImage, parseKernel } from '../arch/x86_64/kernel-image.ts';
import { KernelImageError, type KernelImageErrorCode } from '../arch/x86_64/kernel-image-error.ts';
import { type BootPlan, planBoot } from '../arch/x86_64/load-kernel.ts';
import { openRegularFile } from '../host/regular-file.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';
import type { VmConfig } from './config.ts';

/** A kernel or initrd was refused; the message names the file and the reason. */
export class BootFileError extends TskataError<KernelImageErrorCode | 'UNREADABLE'> {}

function readBootFile(path: string): Buffer {
  try {
    using file = openRegularFile(path);
    return readFileSync(file.fd);
  } catch (cause) {
    throw new BootFileError('UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { path }, { cause });
  }
}

/** The images in this process's memory, as long as they are needed: disposing them gives it back at once. */
export class BootFiles implements Disposable {
  readonly #kernel: Buffer;
  readonly #initrd: Buffer | undefined;
  readonly #image: KernelImage;
  readonly #config: VmConfig;

  /** Reads and checks the images. @throws BootFileError, CommandLineError */
  constructor(config: VmConfig) {
    const { kernelPath, initrdPath, commandLine = '' } = config;
    this.#config = config;
    this.#kernel = readBootFile(kernelPath);
    this.#initrd = initrdPath === undefined ? undefined : readBootFile(initrdPath);
    this.#image = this.#judge(() => parseKernel(this.#kernel));
    this.plan(commandLine);
  }

  /** Places the images in guest memory, on paper, together with a command line. @throws BootFileError, CommandLineError */
  plan(commandLine: string): BootPlan {
    const memorySize = this.#config.memoryMib * MIB;
    const initrd = this.#initrd === undefined ? {} : { initrd: this.#initrd };
    return this.#judge(() => planBoot({ image: this.#image, memorySize, commandLine, ...initrd }));
  }

  #judge<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof KernelImageError)) throw error;
      const { kernelPath, initrdPath } = this.#config;
      const files = initrdPath === undefined ? kernelPath : `${kernelPath} with ${initrdPath}`;
      throw new BootFileError(error.code, `cannot boot ${files}: ${error.message}`, error.details, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    for (const { buffer, length } of [this.#kernel, ...(this.#initrd === undefined ? [] : [this.#initrd])]) {
      // A small Buffer is a part of a pool that others use too.
      if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0);
    }
  }
}
