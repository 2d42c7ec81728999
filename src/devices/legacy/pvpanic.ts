// pvpanic: one port at which a guest says that its kernel has panicked. It has no state.
// Source: QEMU, docs/specs/pvpanic.rst; Linux, include/uapi/misc/pvpanic.h.
import type { ByteRegisters } from '../../bus/byte-registers.ts';

const PVPANIC_PANICKED = 1 << 0;
const PVPANIC_CRASH_LOADED = 1 << 1;

export interface PvpanicConnections {
  /** The guest's kernel has panicked, and waits to be ended. */
  readonly onPanic: () => void;
  /** The guest's kernel has panicked, and goes on with a crash kernel of its own, which it is to be left to. */
  readonly onCrashLoaded: () => void;
}

export class Pvpanic implements ByteRegisters {
  readonly #connections: PvpanicConnections;

  constructor(connections: PvpanicConnections) {
    this.#connections = connections;
  }

  /** "On read, the bits recognized by the device are set." */
  readRegister(): number {
    return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
  }

  writeRegister(_offset: number, value: number): void {
    if ((value & PVPANIC_PANICKED) !== 0) this.#connections.onPanic();
    else if ((value & PVPANIC_CRASH_LOADED) !== 0) this.#connections.onCrashLoaded();
  }
}
