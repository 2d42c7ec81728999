// Devices whose registers are bytes, as on the ISA bus.
import type { BusDevice } from './address-bus.ts';

/** A device of 8-bit registers. */
export interface ByteRegisters {
  readRegister(offset: number): number;
  writeRegister(offset: number, value: number): void;
}

/** Puts such a device on a bus: wider accesses go to consecutive registers, lowest first, as ISA bridges split them. */
export function byteRegisterDevice(registers: ByteRegisters): BusDevice {
  return {
    read(offset, data) {
      for (let index = 0; index < data.length; index++) data[index] = registers.readRegister(offset + index);
    },
    write(offset, data) {
      for (const [index, value] of data.entries()) registers.writeRegister(offset + index, value);
    },
  };
}
