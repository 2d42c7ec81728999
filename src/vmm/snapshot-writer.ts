// A VM that stands still, written to a snapshot: one at a time, and given up when the VM ends.
import type { Vcpu } from '../hypervisor/ports.ts';
import { present } from '../lib/present.ts';
import type { VmConfig } from './config.ts';
import type { Machine } from './machine.ts';
import { writeSnapshot } from './snapshot-folder.ts';
import { VmStateError } from './vcpu-group.ts';
import { saveVmState } from './vm-state.ts';

export class SnapshotWriter {
  readonly #vm: Machine & { readonly config: VmConfig; readonly vcpus: readonly Vcpu[] };
  readonly #ended = new AbortController();
  #isBusy = false;
  /** Settles, and never rejects, when memory is not read any more and the folder is whole or gone. */
  #written: Promise<unknown> = Promise.resolve();

  constructor(vm: Machine & { readonly config: VmConfig; readonly vcpus: readonly Vcpu[] }) {
    this.#vm = vm;
  }

  /** Keeps all others out until the result is disposed. @throws VmStateError WRONG_STATE */
  begin(): Disposable {
    this.requireNone('take a snapshot of');
    this.#isBusy = true;
    return {
      [Symbol.dispose]: () => {
        this.#isBusy = false;
      },
    };
  }

  /** @throws VmStateError WRONG_STATE while a snapshot is being taken */
  requireNone(what: string): void {
    if (this.#isBusy) throw new VmStateError('WRONG_STATE', `cannot ${what} the VM: a snapshot of it is being written`);
  }

  /**
   * Writes a folder that is not there yet. The devices rest meanwhile, and go on afterwards; the vCPUs are the caller's.
   * @throws VmStateError ENDED, SnapshotError, and what keeps a device from resting (rejects)
   */
  async write(directory: string): Promise<void> {
    const { devices, ram } = this.#vm;
    await devices.quiesce();
    try {
      // The VM may be gone by now, and its descriptors somebody else's.
      this.#ended.signal.throwIfAborted();
      const state = saveVmState(this.#vm);
      // Of memory that could be plugged and is not, there is nothing to write, and it may be large.
      const memory = ram.flatMap(({ host: { bytes, fd }, plugged }) => {
        const ranges = plugged && [...plugged.ranges()];
        return ranges?.length === 0 ? [] : [{ bytes, ...present({ ranges, fd }) }];
      });
      const writing = writeSnapshot(directory, { state, memory, signal: this.#ended.signal });
      this.#written = writing.catch(() => undefined);
      await writing;
    } finally {
      devices.resume();
    }
  }

  /** The VM has ended: what is being written is removed. Settles when the VM's memory is free to go. */
  async giveUp(): Promise<void> {
    this.#ended.abort(new VmStateError('ENDED', 'the VM ended before its snapshot was written'));
    await this.#written;
  }
}
