// What the agent does to the machine as a whole. A test that runs it on any Linux gets a form that leaves the machine alone.
import { messageOf } from '../../src/lib/errors.ts';
import { SHARED_DIRECTORY } from '../../src/protocol/agent-service.ts';
import type { EventLoop } from './event-loop.ts';
import * as abi from './linux/abi.gen.ts';
import { makeDirectories, open, readText, withFd } from './linux/file.ts';
import { addEntropy, reboot, setWallClock, syncFilesystems } from './linux/machine.ts';
import { mount, unmount } from './linux/mount.ts';
import { exit } from './linux/process.ts';
import { log } from './log.ts';

export interface GuestPort {
  /** @param realtimeNs nanoseconds since the Unix epoch */
  setClock(realtimeNs: bigint): void;
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
    setClock: setWallClock,
    addEntropy: (entropy) => withFd(open('/dev/urandom', abi.O_WRONLY), (fd) => addEntropy(fd, entropy)),
    mountShared: (tag) => {
      if (isMounted(SHARED_DIRECTORY)) return;
      makeDirectories(SHARED_DIRECTORY);
      mount(tag, SHARED_DIRECTORY, 'virtiofs', 0);
    },
    shutDown: () => {
      void shutDown(loop, stopContainers, () => {
        syncFilesystems();
        if (isMounted(SHARED_DIRECTORY)) {
          try {
            unmount(SHARED_DIRECTORY, abi.MNT_DETACH);
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
    setClock: () => {},
    addEntropy: () => {},
    mountShared: () => {},
    shutDown: () => {
      void shutDown(loop, stopContainers, () => exit(0));
    },
  };
}

/** Whether something is mounted there (proc_pid_mountinfo(5), field 5). */
function isMounted(path: string): boolean {
  return readText('/proc/self/mountinfo')
    .split('\n')
    .some((line) => line.split(' ')[4] === path);
}
