// `tskata checkpoint` and `tskata restore`: refused, as runc refuses them where CRIU is not there, and nothing is changed.
//
// A snapshot holds a whole virtual machine, with the files that its guest has open on virtio-fs (docs/adr/0007-snapshots.md); what
// it cannot hold is what connects a container with this host: the pipes and terminals of its processes end with the connections
// to the machine, and its processes with them when they next write.
import { currentStatus } from '../runtime/container-state.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

const REASON =
  "a container's standard streams and terminals cannot be carried over to another virtual machine yet. Nothing was changed. (tsvm snapshot saves virtual machines that have none.)";

/** @throws RuntimeError NOT_FOUND, WRONG_STATUS, UNSUPPORTED */
export function checkpoint(globals: GlobalOptions, id: string): never {
  const status = currentStatus(new StateStore(globals.root).read(id));
  if (status === 'creating' || status === 'created' || status === 'stopped') {
    throw new RuntimeError('WRONG_STATUS', `Container cannot be checkpointed in ${status} state`, { id, status });
  }
  throw new RuntimeError('UNSUPPORTED', `cannot checkpoint container ${id}: ${REASON}`, { id });
}

/** @throws RuntimeError ALREADY_EXISTS, INVALID_ID, UNSUPPORTED */
export function restore(globals: GlobalOptions, id: string): never {
  const store = new StateStore(globals.root);
  store.directory(id);
  if (store.list().includes(id)) {
    throw new RuntimeError('ALREADY_EXISTS', 'container with given ID already exists', { id });
  }
  throw new RuntimeError('UNSUPPORTED', `cannot restore container ${id}: ${REASON}`, { id });
}
