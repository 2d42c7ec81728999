// The parts of a PC that kernels expect without asking, and those by which the guest and its host speak of power and panic.

import { ACPI_EVENTS_GSI, GENERATION_ID_ADDRESS, LEGACY_GSI, PORTS } from '../arch/x86_64/layout.ts';
import type { AddressBus } from '../bus/address-bus.ts';
import { byteRegisterDevice } from '../bus/byte-registers.ts';
import { absentPci } from '../devices/legacy/absent-pci.ts';
import { CmosRtc, type CmosRtcState } from '../devices/legacy/cmos-rtc.ts';
import { GenerationId, type GenerationIdState } from '../devices/legacy/generation-id.ts';
import { I8042, type I8042State } from '../devices/legacy/i8042.ts';
import { POWER_EVENT, Power, type PowerState } from '../devices/legacy/power.ts';
import { Pvpanic } from '../devices/legacy/pvpanic.ts';
import { SavedFields } from '../devices/saved-state.ts';
import { randomUuid } from '../host/random.ts';
import type { VirtualMachine } from '../hypervisor/ports.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { SerialConsole, type SerialConsoleState } from './serial-console.ts';
import type { StopReason } from './stop-reason.ts';

export interface LegacyDevicesOptions {
  readonly machine: Pick<VirtualMachine, 'setInterruptLine'>;
  readonly pioBus: AddressBus;
  readonly memory: GuestMemory;
  /** Whether the guest has a serial port at COM1. */
  readonly hasSerialPort: boolean;
  /** Bytes that the guest sent on its serial port. */
  readonly serialOutput: (bytes: Uint8Array) => void;
  /** The guest has ended the machine. */
  readonly stop: (reason: StopReason) => void;
  readonly log: (line: string) => void;
}

/** Plain JSON. */
export interface LegacyDevicesState {
  readonly serial: SerialConsoleState;
  readonly keyboard: I8042State;
  readonly clock: CmosRtcState;
  readonly power: PowerState;
  readonly generationId: GenerationIdState;
}

/** Disposing them passes on what the guest has sent last. */
export class LegacyDevices implements Disposable {
  readonly serial: SerialConsole;
  readonly #keyboard: I8042;
  readonly #clock: CmosRtc;
  readonly #power: Power;
  readonly #generationId: GenerationId;

  constructor({ machine, pioBus, memory, hasSerialPort, serialOutput, stop, log }: LegacyDevicesOptions) {
    const interrupt = (gsi: number) => (level: boolean) => machine.setInterruptLine(gsi, level);
    this.serial = new SerialConsole({ setInterrupt: interrupt(LEGACY_GSI.serial), output: serialOutput });
    this.#keyboard = new I8042({
      onReset: () => stop({ kind: 'guest-reset' }),
      setInterrupt: interrupt(LEGACY_GSI.keyboard),
    });
    this.#clock = new CmosRtc(() => Date.now());
    this.#power = new Power({
      onPowerOff: () => stop({ kind: 'guest-power-off' }),
      setInterrupt: interrupt(ACPI_EVENTS_GSI),
    });
    this.#generationId = new GenerationId(randomUuid(), {
      write: (bytes) => memory.write(GENERATION_ID_ADDRESS, bytes),
      notify: () => this.#power.raise(POWER_EVENT.newGeneration),
    });
    const pvpanic = new Pvpanic({
      onPanic: () => stop({ kind: 'guest-panic' }),
      onCrashLoaded: () => log('the guest kernel has panicked; its crash kernel takes over'),
    });
    if (hasSerialPort) pioBus.register('serial', PORTS.serial, byteRegisterDevice(this.serial.port));
    pioBus.register('i8042', PORTS.i8042, byteRegisterDevice(this.#keyboard));
    pioBus.register('cmos', PORTS.cmos, byteRegisterDevice(this.#clock));
    pioBus.register('power', PORTS.power, byteRegisterDevice(this.#power));
    pioBus.register('pvpanic', PORTS.pvpanic, byteRegisterDevice(pvpanic));
    pioBus.register('pci', PORTS.pciConfiguration, absentPci);
  }

  /** Writes the generation identifier to guest memory: before a guest starts that comes from no snapshot. */
  publishGeneration(): void {
    this.#generationId.publish();
  }

  /** Gives a guest that comes from a snapshot a generation of its own, and tells it: after `restoreState`, before it runs. */
  renewGeneration(): void {
    this.#generationId.setGeneration(randomUuid());
  }

  /** Presses the power button. A guest without ACPI does not notice; others do what they do about it, and in their own time. */
  pressPowerButton(): void {
    this.#power.raise(POWER_EVENT.powerButton);
  }

  /** @returns whether the guest has a driver that hears it */
  pressCtrlAltDel(): boolean {
    return this.#keyboard.pressCtrlAltDel();
  }

  /** Call while no vCPU runs. */
  saveState(): LegacyDevicesState {
    return {
      serial: this.serial.saveState(),
      keyboard: this.#keyboard.saveState(),
      clock: this.#clock.saveState(),
      power: this.#power.saveState(),
      generationId: this.#generationId.saveState(),
    };
  }

  /** Call once the interrupt controllers have their state, before a vCPU runs. @throws SavedStateError */
  restoreState(state: unknown): void {
    const fields = new SavedFields('legacy devices', state);
    this.serial.restoreState(fields.value('serial'));
    this.#keyboard.restoreState(fields.value('keyboard'));
    this.#clock.restoreState(fields.value('clock'));
    this.#power.restoreState(fields.value('power'));
    this.#generationId.restoreState(fields.value('generationId'));
  }

  [Symbol.dispose](): void {
    this.serial[Symbol.dispose]();
  }
}
