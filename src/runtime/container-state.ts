// What a container is right now: its record, and whether its process lives.

import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { State } from '../oci/state.ts';
import { type Status, statusOf } from '../oci/status.ts';
import { isAlive } from './process-identity.ts';
import type { ContainerRecord } from './state-store.ts';

export function currentStatus(record: ContainerRecord): Status {
  const process = record.phase === 'creating' ? record.creator : record.init;
  return statusOf(record.phase, process !== undefined && isAlive(process), record.paused);
}

/** The state as `state` and `list` print it. @param owner what to show as its owner */
export function currentState(record: ContainerRecord, owner = ''): State {
  const status = currentStatus(record);
  return {
    ociVersion: record.ociVersion,
    id: record.id,
    pid: status === 'stopped' ? 0 : (record.init?.pid ?? 0),
    status,
    bundle: record.bundle,
    rootfs: record.rootfs,
    created: record.created,
    ...(record.annotations === undefined ? {} : { annotations: record.annotations }),
    owner,
  };
}

/** The name of a user; where there is none the number, in runc's form. */
export function userName(uid: number): string {
  try {
    if (uid === userInfo().uid) return userInfo().username;
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.split(':')[2] === String(uid));
    return line?.split(':')[0] ?? `#${uid}`;
  } catch {
    // A small image has no list of users, or one without us.
    return `#${uid}`;
  }
}
