// The images that a VM boots from, read and judged before there is a VM.
import { fstatSync } from 'node:fs';
import { type KernelImage, parseKernel } from '../arch/x86_64/kernel-image.ts';
import { KernelImageError, type KernelImageErrorCode } from '../arch/x86_64/kernel-image-error.ts';
import { type BootPlan, planBoot } from '../arch/x86_64/load-kernel.ts';
import { type Mapping, mapFilePrivately } from '../ffi/memory.unsafe.ts';
import { openRegularFile } from '../host/regular-file.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';
import type { VmConfig } from './config.ts';

/** A kernel or initrd was refused; the message names the file and the reason. */
export class BootFileError extends TskataError<KernelImageErrorCode | 'UNREADABLE'> {}

/** A file as this process sees it: the page cache itself, from which it is copied once, into the guest. */
class BootFile implements Disposable {
  readonly #mapping: Mapping | undefined;

  /** @throws BootFileError */
  constructor(path: string) {
    try {
      using file = openRegularFile(path);
      const { size } = fstatSync(file.fd);
      // Nothing cannot be mapped.
      this.#mapping = size === 0 ? undefined : mapFilePrivately(file.fd, 0, size, path);
    } catch (cause) {
      throw new BootFileError('UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, { path }, { cause });
    }
  }

  get bytes(): Uint8Array {
    return this.#mapping?.bytes ?? new Uint8Array();
  }

  [Symbol.dispose](): void {
    this.#mapping?.[Symbol.dispose]();
  }
}

/** The images, mapped as long as they are needed. */
export class BootFiles implements Disposable {
  readonly #files: DisposableStack;
  readonly #initrd: BootFile | undefined;
  readonly #image: KernelImage;
  readonly #config: VmConfig;

  /** Reads and checks the images. @throws BootFileError, CommandLineError */
  constructor(config: VmConfig) {
    const { kernelPath, initrdPath, commandLine = '' } = config;
    this.#config = config;
    using opened = new DisposableStack();
    const kernel = opened.use(new BootFile(kernelPath));
    this.#initrd = initrdPath === undefined ? undefined : opened.use(new BootFile(initrdPath));
    this.#image = this.#judge(() => parseKernel(kernel.bytes));
    this.plan(commandLine);
    this.#files = opened.move();
  }

  /** Places the images in guest memory, on paper, together with a command line. @throws BootFileError, CommandLineError */
  plan(commandLine: string): BootPlan {
    const memorySize = this.#config.memoryMib * MIB;
    const initrd = this.#initrd === undefined ? {} : { initrd: this.#initrd.bytes };
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
    this.#files.dispose();
  }
}
