// An address space of devices: which device answers at an address. One instance for ports, one for MMIO.

/** A device on a bus. Offsets count from the start of its range. */
export interface BusDevice {
  /** Fills `data`, which lies wholly in the device's range. */
  read(offset: number, data: Uint8Array): void;
  write(offset: number, data: Uint8Array): void;
}

/** The addresses of a device. */
export interface AddressRange {
  readonly base: number;
  readonly length: number;
}

interface Registration extends AddressRange {
  readonly name: string;
  readonly device: BusDevice;
}

/**
 * Ranges that do not overlap, found by binary search; the range of the last access is tried first, because drivers stay
 * with a device for several accesses.
 *
 * What no device claims reads as all ones, as on a PC's buses, and writes there vanish; both are counted.
 */
export class AddressBus {
  readonly #name: string;
  /** By base. */
  #registrations: readonly Registration[] = [];
  #last: Registration | undefined;
  #unclaimedReads = 0;
  #unclaimedWrites = 0;

  /** @param name for messages: "pio", "mmio" */
  constructor(name: string) {
    this.#name = name;
  }

  /** Reads so far that no device claimed. */
  get unclaimedReads(): number {
    return this.#unclaimedReads;
  }

  /** Writes so far that no device claimed. */
  get unclaimedWrites(): number {
    return this.#unclaimedWrites;
  }

  /**
   * Puts a device on the bus.
   * @param name for messages
   * @returns disposing it takes the device off again
   * @throws RangeError when the range is empty or another device has part of it
   */
  register(name: string, { base, length }: AddressRange, device: BusDevice): Disposable {
    if (!Number.isSafeInteger(base) || !Number.isSafeInteger(base + length) || base < 0 || length < 1) {
      throw new RangeError(`${this.#name} bus: ${name} cannot have ${length} addresses from ${base}`);
    }
    const other = this.#registrations.find((taken) => base < taken.base + taken.length && taken.base < base + length);
    if (other !== undefined) {
      throw new RangeError(
        `${this.#name} bus: ${name} at 0x${base.toString(16)} (${length} addresses) overlaps ${other.name} at ` +
          `0x${other.base.toString(16)} (${other.length})`,
      );
    }
    const registration = { name, base, length, device };
    this.#registrations = [...this.#registrations, registration].sort((a, b) => a.base - b.base);
    return {
      [Symbol.dispose]: () => {
        this.#registrations = this.#registrations.filter((entry) => entry !== registration);
        if (this.#last === registration) this.#last = undefined;
      },
    };
  }

  /**
   * Answers a read.
   * @param data filled with what was read
   * @param elementSize bytes of one access; string I/O (`rep ins`) has several of them in `data`, all at `address`
   */
  read(address: number, data: Uint8Array, elementSize: number = data.length): void {
    const registration = this.#find(address, elementSize);
    if (registration === undefined) {
      this.#unclaimedReads += data.length / elementSize;
      data.fill(0xff);
      return;
    }
    const offset = address - registration.base;
    for (let at = 0; at < data.length; at += elementSize) {
      registration.device.read(offset, data.subarray(at, at + elementSize));
    }
  }

  /** Carries out a write; `elementSize` as for read. */
  write(address: number, data: Uint8Array, elementSize: number = data.length): void {
    const registration = this.#find(address, elementSize);
    if (registration === undefined) {
      this.#unclaimedWrites += data.length / elementSize;
      return;
    }
    const offset = address - registration.base;
    for (let at = 0; at < data.length; at += elementSize) {
      registration.device.write(offset, data.subarray(at, at + elementSize));
    }
  }

  /** The device that has all of these addresses. An access that leaves its device's range is nobody's. */
  #find(address: number, length: number): Registration | undefined {
    const last = this.#last;
    if (last !== undefined && isWithin(last, address, length)) return last;
    let low = 0;
    let high = this.#registrations.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = this.#registrations[middle];
      if (candidate !== undefined && candidate.base <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#registrations[low - 1];
    if (found === undefined || !isWithin(found, address, length)) return undefined;
    this.#last = found;
    return found;
  }
}

function isWithin(range: AddressRange, address: number, length: number): boolean {
  return address >= range.base && address + length <= range.base + range.length;
}
