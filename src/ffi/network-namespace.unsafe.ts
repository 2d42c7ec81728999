// Network namespaces (network_namespaces(7)).
import { openSync } from 'node:fs';
import type { Fd } from '../lib/brand.ts';
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction } from './koffi.unsafe.ts';

const setns = libcFunction<[number, number], number>('int setns(int fd, int type)');

/** This thread's alone: those of libuv stay where they are. */
const OWN = '/proc/thread-self/ns/net';

/** Keeps a network namespace, by the path of one that there is. @throws Node's error */
export function openNetworkNamespace(path: string): OwnedFd {
  return new OwnedFd(openSync(path, O_RDONLY | O_CLOEXEC));
}

/**
 * Does something in another network namespace: what is opened there stays of there. Nothing in `action` may wait or start a
 * process or a thread.
 * @throws SystemError EINVAL when it is none, EPERM; what `action` throws
 */
export function inNetworkNamespace<T>(namespace: Fd, action: () => T): T {
  using own = openNetworkNamespace(OWN);
  check(setns(namespace, CLONE_NEWNET), 'setns', 'a network namespace');
  try {
    return action();
  } finally {
    check(setns(own.fd, CLONE_NEWNET), 'setns', 'the own network namespace');
  }
}
