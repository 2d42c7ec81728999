// File descriptors that Node itself does not watch (eventfds, tap devices, KVM's) on Node's event loop.
import { fstatSync } from 'node:fs';
import type { Fd } from '../lib/brand.ts';
import { koffi } from './koffi.unsafe.ts';

const failures: unknown[] = [];
let drainScheduled = false;

/**
 * After a callback of koffi's poll, Node does not run what the callback queued with promises and process.nextTick. An
 * immediate of the same turn of the event loop makes it; it also throws what the callbacks threw where Node sees it.
 */
function scheduleDrain(): void {
  if (drainScheduled) return;
  drainScheduled = true;
  setImmediate(() => {
    drainScheduled = false;
    const [failure] = failures.splice(0, 1);
    if (failures.length > 0) scheduleDrain();
    if (failure !== undefined) throw failure;
  });
}

/** What to wait for. */
export interface WatchOptions {
  /** @default true */
  readonly readable?: boolean;
  /** @default false */
  readonly writable?: boolean;
  /** Whether the watch keeps the process alive. @default true */
  readonly ref?: boolean;
}

/** Which of the awaited things a descriptor is ready for. */
export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** The descriptors watched, with koffi's handles: it would close a handle that is garbage-collected. */
const watched = new Map<Fd, unknown>();

/** koffi ends the process, rather than throw, for a descriptor that libuv cannot watch. */
function requireWatchable(fd: Fd): void {
  if (watched.has(fd)) throw new RangeError(`fd ${fd} is watched already: duplicate it for a second watch`);
  const kind = fstatSync(fd);
  if (kind.isFile() || kind.isDirectory())
    throw new RangeError(`fd ${fd} is a file or a folder: those are always ready`);
}

/**
 * Calls `onReady` for as long as the descriptor is ready (level-triggered): the callback must read, or dispose the watch. A
 * hang-up or an error counts as ready for all that is waited for.
 * An exception of the callback becomes an uncaught exception. Dispose the watch before the descriptor is closed.
 * @throws RangeError for a second watch of a descriptor, and for files, which are always ready; an Error (EBADF) for a closed one
 */
export function watchFd(fd: Fd, onReady: (ready: Readiness) => void, options: WatchOptions = {}): Disposable {
  requireWatchable(fd);
  const { readable = true, writable = false, ref = true } = options;
  // koffi's types leave out the first argument, the status of uv_poll.
  const callback = (status: number, events: Readiness): void => {
    try {
      onReady(status < 0 ? { readable, writable } : events);
    } catch (error) {
      failures.push(error);
    }
    scheduleDrain();
  };
  const handle = koffi().node.poll(fd, { readable, writable }, callback as unknown as (events: Readiness) => void);
  watched.set(fd, handle);
  if (!ref) handle.unref();
  return {
    [Symbol.dispose]() {
      if (watched.get(fd) !== handle) return;
      watched.delete(fd);
      handle.close();
    },
  };
}
