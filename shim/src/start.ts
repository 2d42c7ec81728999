// `start`: containerd-shim-runc-v2 is started, and the relay in front of it.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { call, tryCall } from '../../guest-agent/src/linux/call.ts';
import { open, replaceFile, writeAll } from '../../guest-agent/src/linux/file.ts';
import {
  blockOneSignal,
  closeFrom,
  duplicateAbove,
  duplicateTo,
  exit,
  fork,
  setUmask,
  startSession,
} from '../../guest-agent/src/linux/process.ts';
import { STDERR } from '../../guest-agent/src/log.ts';
import { parseStarted, relaySocket, type Started, toAddress } from './addresses.ts';
import type { RelayPlaces } from './relay.ts';
import { runRuncShim, STDOUT, statusOfEnding } from './runc-shim.ts';
import { claim, SocketFile } from './sockets.ts';

/** The descriptor that the relay has beside its standard streams. */
const LISTENER = 3;

/** In the bundle, which is the working directory: what containerd reads when it is started again, and where it takes messages. */
export const ADDRESS_FILE = 'address';
const LOG_FIFO = 'log';

/** Sockets and files of ours are root's alone. */
const UMASK = 0o077;
const ADDRESS_MODE = 0o600;

/**
 * Starts containerd-shim-runc-v2; the containers of a pod share it. If it fails so do we, and end here.
 * @param words of the command line behind the program's name
 * @throws Error when it could not be started
 */
export function startRuncShim(words: readonly string[]): Started {
  const { ending, output } = runRuncShim(words);
  const status = statusOfEnding(ending);
  if (status !== 0) {
    writeAll(STDOUT, output, 'standard output');
    exit(status);
  }
  return parseStarted(decodeUtf8(output));
}

/**
 * Starts the relay in front of it, unless there is one, and tells containerd where to call.
 * @returns in the process that is to be the relay, where everything is; the one that was called ends here
 * @throws Error when it could not be started, in either process
 */
export function standInFront(started: Started): RelayPlaces {
  const relay = relaySocket(started.shimSocket);
  setUmask(UMASK);
  const listener = claim(relay, tryCall(abi.SYS_getpid));
  const isRelay = listener !== undefined && fork(0) === 0;
  if (isRelay) {
    const places = { relay: new SocketFile(relay), shim: new SocketFile(started.shimSocket), listener: LISTENER };
    leaveCaller(listener);
    return places;
  }
  replaceFile(ADDRESS_FILE, toAddress(relay), ADDRESS_MODE);
  writeAll(STDOUT, encodeUtf8(started.withSocket(relay)), 'standard output');
  return exit(0);
}

/** Lets go of all that the caller waits for: its standard streams, its session, the bundle as working directory. */
function leaveCaller(listener: number): void {
  startSession();
  const log = tryCall(abi.SYS_openat, abi.AT_FDCWD, LOG_FIFO, abi.O_WRONLY | abi.O_NONBLOCK | abi.O_CLOEXEC, 0);
  const nothing = open('/dev/null', abi.O_RDWR);
  // Above those that they become.
  const [safeListener = 0, safeLog = 0] = [listener, log < 0 ? nothing : log].map((fd) =>
    duplicateAbove(fd, LISTENER + 1),
  );
  for (const fd of [0, STDOUT]) duplicateTo(nothing, fd);
  duplicateTo(safeLog, STDERR);
  duplicateTo(safeListener, LISTENER);
  closeFrom(LISTENER + 1);
  call('chdir', '/', abi.SYS_chdir, '/');
  // containerd may have gone.
  blockOneSignal(abi.SIGPIPE);
}
