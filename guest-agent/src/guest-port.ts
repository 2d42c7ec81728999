// What the agent does to the machine as a whole. A test that runs it on any Linux gets a form that leaves the machine alone.
import { messageOf } from '../../src/lib/errors.ts';
import { GUEST_DIRECTORY, SHARED_DIRECTORY } from '../../src/protocol/agent-service.ts';
import { StatusError } from '../../src/protocol/status.ts';
import type { EventLoop } from './event-loop.ts';
import * as abi from './linux/abi.gen.ts';
import { makeDirectories, open, withFd } from './linux/file.ts';
import { addEntropy, reboot, setWallClock, syncFilesystems } from './linux/machine.ts';
import { mount, unmount } from './linux/mount.ts';
import { exit } from './linux/process.ts';
import { log } from './log.ts';
import { mountsBelow } from './storage/mount-table.ts';

export interface GuestPort {
  /** @param realtimeNs nanoseconds since the Unix epoch. @throws StatusError when no clock that is right says that */
  setClock(realtimeNs: bigint): void;
  /** @throws StatusError when it is more than `ENTROPY_MAX` bytes */
  addEntropy(entropy: Uint8Array): void;
  /** Mounts the virtio-fs `tag` at `SHARED_DIRECTORY`, unless that is done already. */
  mountShared(tag: string): void;
  /** Ends the guest, a moment from now: the answer to who asked goes out first. */
  shutDown(): void;
}

/** How long an answer has to reach the host before the guest ends. */
const SHUTDOWN_DELAY_MS = 20;
/** How long killed processes may take to be gone: one that waits for the host's file system may wait for ever. */
const STOP_MAX_MS = 2000;

const YEAR_NS = 31_556_952_000_000_000n;
/**
 * Years since 1970 between which the time must be. Less is a number of seconds, milliseconds or microseconds; with more the
 * kernel's clock could run over while the guest lives (TIME_SETTOD_SEC_MAX in include/linux/time64.h).
 */
const YEARS_MIN = 1n;
const YEARS_MAX = 230n;
/** More than any generator has in its state: bytes. */
const ENTROPY_MAX = 4096;

/** @throws StatusError */
function checkTime(realtimeNs: bigint): void {
  if (realtimeNs >= YEARS_MIN * YEAR_NS && realtimeNs < YEARS_MAX * YEAR_NS) return;
  const message = `${realtimeNs} ns since 1970 is no time of today: give the wall clock in nanoseconds`;
  throw new StatusError('INVALID_ARGUMENT', message);
}

/** @throws StatusError */
function checkEntropy(entropy: Uint8Array): void {
  if (entropy.length <= ENTROPY_MAX) return;
  throw new StatusError('INVALID_ARGUMENT', `${entropy.length} bytes of entropy: at most ${ENTROPY_MAX} at once`);
}

/** Ends all containers, then does the last thing there is to do. */
async function shutDown(loop: EventLoop, stopContainers: () => Promise<void>, last: () => void): Promise<void> {
  try {
    await Promise.race([stopContainers(), loop.delay(STOP_MAX_MS)]);
  } catch (error) {
    log(`at shutdown: ${messageOf(error)}`);
  }
  await loop.delay(SHUTDOWN_DELAY_MS);
  last();
}

/** The guest of a VM. @param stopContainers ends all processes in containers */
export function realGuest(loop: EventLoop, stopContainers: () => Promise<void>): GuestPort {
  return {
    setClock: (realtimeNs) => {
      checkTime(realtimeNs);
      setWallClock(realtimeNs);
    },
    addEntropy: (entropy) => {
      checkEntropy(entropy);
      withFd(open('/dev/urandom', abi.O_WRONLY), (fd) => addEntropy(fd, entropy));
    },
    mountShared: (tag) => {
      if (mountsBelow(GUEST_DIRECTORY).includes(SHARED_DIRECTORY)) return;
      makeDirectories(SHARED_DIRECTORY);
      mount(tag, SHARED_DIRECTORY, 'virtiofs', 0);
      // Containers whose mounts are to propagate meet here; all others are slaves of it.
      mount('', SHARED_DIRECTORY, '', abi.MS_SHARED);
    },
    shutDown: () => {
      void shutDown(loop, stopContainers, () => {
        syncFilesystems();
        // Disks are to be found clean by the next VM.
        for (const path of mountsBelow(GUEST_DIRECTORY).reverse()) {
          try {
            unmount(path, abi.MNT_DETACH);
          } catch (error) {
            log(`at shutdown: ${messageOf(error)}`);
          }
        }
        reboot();
      });
    },
  };
}

/** A process on any Linux. */
export function processOnly(loop: EventLoop, stopContainers: () => Promise<void>): GuestPort {
  return {
    setClock: checkTime,
    addEntropy: checkEntropy,
    mountShared: () => {},
    shutDown: () => {
      void shutDown(loop, stopContainers, () => exit(0));
    },
  };
}
