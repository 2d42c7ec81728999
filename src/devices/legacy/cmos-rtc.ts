// The PC's real-time clock and the memory beside it (MC146818A): shows the time it is given, in BCD and UTC.
// It has no alarm and no periodic interrupt; the guest cannot set it, its time is the host's.
// Source: Motorola MC146818A data sheet; century at 0x32 as on PCs since the PS/2.
import type { ByteRegisters } from '../../bus/byte-registers.ts';
import { SavedFields } from '../saved-state.ts';

/** Ports, counted from 0x70. */
const INDEX_PORT = 0;
const DATA_PORT = 1;
/** Bit 7 of the index port masks the NMI. */
const INDEX_MASK = 0x7f;
const MEMORY_SIZE = 128;

const RTC_SECONDS = 0x00;
const RTC_MINUTES = 0x02;
const RTC_HOURS = 0x04;
const RTC_DAY_OF_WEEK = 0x06;
const RTC_DAY_OF_MONTH = 0x07;
const RTC_MONTH = 0x08;
const RTC_YEAR = 0x09;
const RTC_CENTURY = 0x32;
const RTC_REG_A = 0x0a;
const RTC_REG_B = 0x0b;
const RTC_REG_C = 0x0c;
const RTC_REG_D = 0x0d;

/** Register A: 32768 Hz time base, 1024 Hz rate. Update-in-progress (bit 7) is never set: the time is read as a whole. */
const REG_A_RESET = 0x26;
/** Register B: 24 hours. The data mode bit is zero: BCD. */
const RTC_24H = 1 << 1;
/** Register D: memory and time are valid. */
const RTC_VRT = 1 << 7;

/** Plain JSON. The time is not part of it: it is the host's. */
export interface CmosRtcState {
  readonly index: number;
  readonly memory: readonly number[];
}

export class CmosRtc implements ByteRegisters {
  readonly #now: () => number;
  readonly #memory = new Uint8Array(MEMORY_SIZE);
  #index = 0;

  /** @param now the time, milliseconds since 1970-01-01T00:00:00Z */
  constructor(now: () => number) {
    this.#now = now;
  }

  readRegister(offset: number): number {
    // The index port is write-only.
    return offset === DATA_PORT ? this.#read(this.#index) : 0xff;
  }

  writeRegister(offset: number, value: number): void {
    if (offset === INDEX_PORT) this.#index = value & INDEX_MASK;
    else if (offset === DATA_PORT) this.#memory[this.#index] = value;
  }

  saveState(): CmosRtcState {
    return { index: this.#index, memory: [...this.#memory] };
  }

  /** @throws SavedStateError */
  restoreState(state: unknown): void {
    const fields = new SavedFields('cmos-rtc', state);
    this.#index = fields.integer('index', INDEX_MASK);
    this.#memory.set(fields.bytes('memory', MEMORY_SIZE));
  }

  /** Time and status registers are made up at each read; what was written to them is not looked at. */
  #read(index: number): number {
    switch (index) {
      case RTC_SECONDS:
        return bcd(this.#time.getUTCSeconds());
      case RTC_MINUTES:
        return bcd(this.#time.getUTCMinutes());
      case RTC_HOURS:
        return bcd(this.#time.getUTCHours());
      case RTC_DAY_OF_WEEK: // Sunday is 1.
        return bcd(this.#time.getUTCDay() + 1);
      case RTC_DAY_OF_MONTH:
        return bcd(this.#time.getUTCDate());
      case RTC_MONTH:
        return bcd(this.#time.getUTCMonth() + 1);
      case RTC_YEAR:
        return bcd(this.#time.getUTCFullYear() % 100);
      case RTC_CENTURY:
        return bcd(Math.floor(this.#time.getUTCFullYear() / 100));
      case RTC_REG_A:
        return REG_A_RESET;
      case RTC_REG_B:
        return RTC_24H;
      case RTC_REG_C: // No interrupt is pending.
        return 0;
      case RTC_REG_D:
        return RTC_VRT;
      default:
        return this.#memory[index] ?? 0xff;
    }
  }

  get #time(): Date {
    return new Date(this.#now());
  }
}

/** Two decimal digits, one per half byte. */
function bcd(value: number): number {
  return (Math.floor(value / 10) << 4) | (value % 10);
}
