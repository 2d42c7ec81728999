// Sees every access that TypeScript makes to a piece of memory by DataView, Atomics and the copying methods of Uint8Array:
// the only way, in one thread, to let memory change between two reads, and to bound work without a clock.

export interface AccessWatcher {
  /** Accesses to other memory are not told. */
  readonly buffer: ArrayBufferLike;
  /** Before bytes are read. */
  reading(length: number): void;
  /** After bytes were written. @param offset from the buffer's start */
  wrote(offset: number, length: number): void;
}

let watcher: AccessWatcher | undefined;
let isInstalled = false;

/**
 * Tells this one from now on, or nobody.
 * @returns who was told before
 */
export function setWatcher(next: AccessWatcher | undefined): AccessWatcher | undefined {
  install();
  const before = watcher;
  watcher = next;
  return before;
}

/** Runs `work` unwatched: what the watcher itself does to the memory. */
export function unwatched(work: () => void): void {
  const before = setWatcher(undefined);
  try {
    work();
  } finally {
    watcher = before;
  }
}

type Method = (this: ArrayBufferView, ...rest: never[]) => unknown;

/** What a method does to the memory that it is called on: [bytes read, offset of what is written, bytes written]. */
type Effect = (self: ArrayBufferView, parameters: readonly unknown[]) => readonly [number, number, number];

function replace(owner: object, name: string, effect: Effect): void {
  const original = Reflect.get(owner, name) as Method;
  Reflect.set(owner, name, function (this: ArrayBufferView, ...parameters: never[]) {
    const active = watcher;
    if (active === undefined || this.buffer !== active.buffer) return original.apply(this, parameters);
    const [readLength, writeOffset, writeLength] = effect(this, parameters);
    if (readLength > 0) active.reading(readLength);
    const result = original.apply(this, parameters);
    if (writeLength > 0) active.wrote(this.byteOffset + writeOffset, writeLength);
    return result;
  });
}

const SIZES = { Uint8: 1, Uint16: 2, Uint32: 4, BigUint64: 8 } as const;

function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  for (const [type, size] of Object.entries(SIZES)) {
    replace(DataView.prototype, `get${type}`, () => [size, 0, 0]);
    replace(DataView.prototype, `set${type}`, (_, [offset]) => [0, Number(offset), size]);
  }
  const bytes = Object.getPrototypeOf(Uint8Array.prototype) as object;
  replace(bytes, 'fill', (self, [, from = 0, to = self.byteLength]) => [0, Number(from), Number(to) - Number(from)]);
  replace(bytes, 'slice', (self, [from = 0, to = self.byteLength]) => [Number(to) - Number(from), 0, 0]);
  installSet(bytes);
  installAtomics();
}

/** `set` reads one memory and writes another: each may be the watched one. */
function installSet(owner: object): void {
  const original = Reflect.get(owner, 'set') as (this: Uint8Array, source: Uint8Array, offset?: number) => void;
  Reflect.set(owner, 'set', function (this: Uint8Array, source: Uint8Array, offset = 0) {
    const active = watcher;
    if (active !== undefined && source.buffer === active.buffer) active.reading(source.byteLength);
    original.call(this, source, offset);
    if (active !== undefined && this.buffer === active.buffer) {
      active.wrote(this.byteOffset + offset, source.byteLength ?? source.length);
    }
  });
}

function installAtomics(): void {
  const { load, store } = Atomics;
  Reflect.set(Atomics, 'load', (array: Uint16Array, index: number) => {
    if (watcher !== undefined && array.buffer === watcher.buffer) watcher.reading(array.BYTES_PER_ELEMENT);
    return load(array, index);
  });
  Reflect.set(Atomics, 'store', (array: Uint16Array, index: number, value: number) => {
    const stored = store(array, index, value);
    if (watcher !== undefined && array.buffer === watcher.buffer) {
      watcher.wrote(array.byteOffset + index * array.BYTES_PER_ELEMENT, array.BYTES_PER_ELEMENT);
    }
    return stored;
  });
}
