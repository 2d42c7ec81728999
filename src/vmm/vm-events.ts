// Passes on what happens to a VM to whoever watches.
import type { VmEvent, VmEventListener } from './operations.ts';

export class VmEvents {
  readonly #listeners = new Set<VmEventListener>();

  /** Calls the listener with what happens from now on, until the result is disposed. */
  watch(listener: VmEventListener): Disposable {
    const own: VmEventListener = (event) => listener(event);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  emit(event: VmEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
