// readv(2) and writev(2) between a descriptor and many buffers, guest memory for instance, without copies and with nothing
// made per call but what the caller passes.
import type { Fd } from '../lib/brand.ts';
import { iovec } from './abi.gen.ts';
import { koffi, lastErrno, libcFunction, type Pointer } from './koffi.unsafe.ts';

const readv = libcFunction<[number, Pointer, number], number>('int64_t readv(int fd, void *vector, int count)');
const writev = libcFunction<[number, Pointer, number], number>('int64_t writev(int fd, void *vector, int count)');

/** UIO_MAXIOV of Linux: no call takes more buffers. */
export const MAX_BUFFERS = 1024;

const WORDS = iovec.sizeof / Uint32Array.BYTES_PER_ELEMENT;
const BASE = iovec.iov_base / Uint32Array.BYTES_PER_ELEMENT;
const LENGTH = iovec.iov_len / Uint32Array.BYTES_PER_ELEMENT;
const TWO_32 = 2 ** 32;

/** Addresses of the memory behind buffers. They do not move; those that are revoked have views of length 0. */
const addresses = new WeakMap<ArrayBufferLike, number>();

function addressOf(buffer: ArrayBufferLike): number {
  let address = addresses.get(buffer);
  if (address === undefined) {
    address = Number(koffi().address(new Uint8Array(buffer)));
    addresses.set(buffer, address);
  }
  return address;
}

/** An array of struct iovec, used again for each call. */
export class IoVector {
  readonly #bytes = new Uint8Array(new ArrayBuffer(MAX_BUFFERS * iovec.sizeof));
  readonly #words = new Uint32Array(this.#bytes.buffer);
  #count = 0;
  /** Most buffers are pieces of one memory. */
  #latest: ArrayBufferLike | undefined;
  #latestAddress = 0;

  /** Reads into the buffers. @returns bytes read, or the errno below 0 */
  read(fd: Fd, buffers: readonly Uint8Array[]): number {
    this.#fill(buffers);
    const result = readv(fd, this.#bytes, this.#count);
    return result < 0 ? -lastErrno() : result;
  }

  /** Writes one buffer and those behind it. @returns bytes written, or the errno below 0 */
  write(fd: Fd, first: Uint8Array, buffers: readonly Uint8Array[]): number {
    this.#count = 0;
    this.#add(first);
    for (const buffer of buffers) this.#add(buffer);
    const result = writev(fd, this.#bytes, this.#count);
    return result < 0 ? -lastErrno() : result;
  }

  #fill(buffers: readonly Uint8Array[]): void {
    this.#count = 0;
    for (const buffer of buffers) this.#add(buffer);
  }

  /** @throws RangeError when there are more buffers than a call takes */
  #add(buffer: Uint8Array): void {
    if (this.#count === MAX_BUFFERS) throw new RangeError(`more than ${MAX_BUFFERS} buffers in one call`);
    // The address of revoked memory is of no use, but then the length is 0.
    const memory = buffer.buffer;
    if (memory !== this.#latest) {
      this.#latest = memory;
      this.#latestAddress = addressOf(memory);
    }
    const address = this.#latestAddress + buffer.byteOffset;
    const at = this.#count * WORDS;
    this.#words[at + BASE] = address;
    this.#words[at + BASE + 1] = address / TWO_32;
    this.#words[at + LENGTH] = buffer.length;
    this.#words[at + LENGTH + 1] = 0;
    this.#count += 1;
  }
}
