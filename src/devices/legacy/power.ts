// What a machine of hardware-reduced ACPI has for power: the sleep registers by which the guest switches it off, and the events
// that come up through a Generic Event Device, such as the power button.
// Source: ACPI specification 6.5, 4.8.3.7 "Sleep Control and Status Registers" and 5.6.9 "Interrupt-signaled ACPI events".
// The event register is this machine's own: the DSDT reads it (src/arch/x86_64/acpi.ts).
import type { ByteRegisters } from '../../bus/byte-registers.ts';
import { SavedFields } from '../saved-state.ts';

/** Registers, counted from the device's first port. */
export const POWER_REGISTER = {
  /** Bits of POWER_EVENT that have come up. Reading clears what was read. */
  events: 0,
  /** SLEEP_CONTROL_REG */
  sleepControl: 1,
  /** SLEEP_STATUS_REG */
  sleepStatus: 2,
} as const;

/** Bits of the event register. */
export const POWER_EVENT = {
  powerButton: 1 << 0,
  /** The generation identifier of the VM has changed. */
  newGeneration: 1 << 1,
} as const;

export type PowerEvent = (typeof POWER_EVENT)[keyof typeof POWER_EVENT];

/** What the DSDT's _S5 tells a guest to write as SLP_TYP. */
export const SLEEP_TYPE_S5 = 5;

/** SLEEP_CONTROL_REG */
const SLP_TYP_SHIFT = 2;
const SLP_TYP_MASK = 0b111 << SLP_TYP_SHIFT;
const SLP_EN = 1 << 5;

const EVENTS_MASK = POWER_EVENT.powerButton | POWER_EVENT.newGeneration;

export interface PowerConnections {
  /** The guest has switched the machine off. */
  readonly onPowerOff: () => void;
  /** Sets the level of the Generic Event Device's interrupt line; called with changes only. */
  readonly setInterrupt: (level: boolean) => void;
}

/** Plain JSON. */
export interface PowerState {
  readonly events: number;
}

export class Power implements ByteRegisters {
  readonly #connections: PowerConnections;
  #events = 0;

  constructor(connections: PowerConnections) {
    this.#connections = connections;
  }

  /** Lets an event come up. It waits until the guest looks for it, and comes up once however often it is raised meanwhile. */
  raise(event: PowerEvent): void {
    this.#setEvents(this.#events | event);
  }

  readRegister(offset: number): number {
    if (offset !== POWER_REGISTER.events) return 0; // SLEEP_STATUS_REG: WAK_STS is never set, this machine wakes nobody.
    const events = this.#events;
    this.#setEvents(0);
    return events;
  }

  writeRegister(offset: number, value: number): void {
    if (offset !== POWER_REGISTER.sleepControl || (value & SLP_EN) === 0) return;
    // Of the sleep states there is S5 alone.
    if ((value & SLP_TYP_MASK) >> SLP_TYP_SHIFT === SLEEP_TYPE_S5) this.#connections.onPowerOff();
  }

  saveState(): PowerState {
    return { events: this.#events };
  }

  /** Call once the interrupt controllers have theirs. @throws SavedStateError */
  restoreState(state: unknown): void {
    this.#setEvents(new SavedFields('power', state).integer('events', EVENTS_MASK));
  }

  #setEvents(events: number): void {
    const isChange = (this.#events !== 0) !== (events !== 0);
    this.#events = events;
    if (isChange) this.#connections.setInterrupt(events !== 0);
  }
}
