// The one door to foreign code: koffi, libc and libtskata, each loaded when first used.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type Koffi from 'koffi';
import { TskataError } from '../lib/errors.ts';

/** A piece of native code that must be there is not. */
export class NativeLibraryError extends TskataError<'NATIVE_LIBRARY_MISSING'> {}

/** What C takes for a pointer: bytes that live for the call, an address, or NULL. */
export type Pointer = Uint8Array | bigint | null;

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** koffi's binary, without its front, which looks for the right one among many and loads 30 modules of Node for that. */
const KOFFI = '@koromix/koffi-linux-x64/linux_x64/koffi.node';

/**
 * koffi itself. By require, at first use: verbs that need no foreign code do not pay for loading it, and a bundler leaves
 * its binary alone.
 */
export const koffi: () => typeof Koffi = once(() => createRequire(import.meta.url)(KOFFI));

const libc = once(() => koffi().load('libc.so.6'));

/** The library is built to build/lib of the project, which is above both src/ffi and the bundles in build/dist. */
function findLibrary(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'build/lib/libtskata.so');
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) {
      throw new NativeLibraryError(
        'NATIVE_LIBRARY_MISSING',
        `there is no build/lib/libtskata.so above ${import.meta.dirname}: build it with \`npm run build -- native\``,
        { path: import.meta.dirname },
      );
    }
  }
}

const libtskata = once(() => koffi().load(findLibrary()));

/**
 * A function of libc, looked up at its first call. The caller answers for the prototype and the type.
 * Variadic functions (ioctl, fcntl) are declared with the arguments they take here: on x86-64 Linux that is the same call.
 */
export function libcFunction<Arguments extends unknown[], Result>(prototype: string): (...args: Arguments) => Result {
  const resolve = once(() => libc().func(prototype));
  return (...args) => resolve()(...args);
}

/** koffi refuses more than 256 at a time. libuv's pool has 4 threads by default: others would wait there as well. */
const MAX_ASYNC_CALLS = 32;
let asyncCalls = 0;
const waitingCalls: (() => void)[] = [];

/** Runs this, once there are fewer calls than MAX_ASYNC_CALLS at work. */
async function inTurn<Result>(call: () => Promise<Result>): Promise<Result> {
  if (asyncCalls < MAX_ASYNC_CALLS) asyncCalls += 1;
  else await new Promise<void>((resolve) => void waitingCalls.push(resolve));
  try {
    return await call();
  } finally {
    const next = waitingCalls.shift();
    if (next === undefined) asyncCalls -= 1;
    else next();
  }
}

/**
 * A function of libc that takes its time: it runs on a thread of libuv's pool, many at a time.
 * @returns its result, and errno as the call left it
 */
export function libcFunctionAsync<Arguments extends unknown[]>(
  prototype: string,
): (...args: Arguments) => Promise<{ readonly result: number; readonly errno: number }> {
  const resolve = once(() => libc().func(prototype));
  return (...args) =>
    inTurn(
      () =>
        new Promise((settle, reject) => {
          // errno is that of the call in its callback only.
          resolve().async(...args, (error: Error | null, result: number) => {
            if (error === null) settle({ result, errno: lastErrno() });
            else reject(error);
          });
        }),
    );
}

/** A function of libtskata, looked up at its first call. The caller answers for the prototype and the type. */
export function nativeFunction<Arguments extends unknown[], Result>(prototype: string): (...args: Arguments) => Result {
  const resolve = once(() => libtskata().func(prototype));
  return (...args) => resolve()(...args);
}

/** errno of this thread; to be read right after the call that failed. */
export function lastErrno(): number {
  return koffi().errno();
}

/**
 * Memory at an address as bytes, without a copy. Nothing keeps the memory alive: whoever frees it calls `revokeView` first.
 */
export function viewMemory(address: bigint, length: number): Uint8Array {
  return new Uint8Array(koffi().view(address, length));
}

/**
 * Takes memory away from everyone who holds a view of it: those views have length 0 from now on, so that a late access
 * gets nothing instead of ending the process.
 */
export function revokeView(view: Uint8Array): void {
  const { buffer } = view;
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}
