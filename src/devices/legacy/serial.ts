// A 16550A serial port: what it sends goes to a callback, what it receives waits in its FIFO.
// Source: National Semiconductor PC16550D data sheet (1995), 8.0 "Registers".
import type { ByteRegisters } from '../../bus/byte-registers.ts';
import { SavedFields } from '../saved-state.ts';

/** Register offsets; names as in Linux, include/uapi/linux/serial_reg.h. */
const UART_RX_TX_DLL = 0;
const UART_IER_DLM = 1;
const UART_IIR_FCR = 2;
const UART_LCR = 3;
const UART_MCR = 4;
const UART_LSR = 5;
const UART_MSR = 6;
const UART_SCR = 7;

/** Interrupt enable. */
const UART_IER_RDI = 1 << 0;
const UART_IER_THRI = 1 << 1;
const UART_IER_MSI = 1 << 3;
const UART_IER_MASK = 0x0f;
/** Interrupt identification. The receiver line status interrupt is never raised: there are no line errors. */
const UART_IIR_NO_INT = 0x01;
const UART_IIR_MSI = 0x00;
const UART_IIR_THRI = 0x02;
const UART_IIR_RDI = 0x04;
const UART_IIR_RX_TIMEOUT = 0x0c;
const UART_IIR_FIFO_ENABLED = 0xc0;
/** FIFO control. */
const UART_FCR_ENABLE_FIFO = 1 << 0;
const UART_FCR_CLEAR_RCVR = 1 << 1;
const UART_FCR_TRIGGER_SHIFT = 6;
/** Bytes in the FIFO at which the receiver interrupts, by the two trigger bits. */
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/** Line control. */
const UART_LCR_DLAB = 1 << 7;
/** Modem control. */
const UART_MCR_DTR = 1 << 0;
const UART_MCR_RTS = 1 << 1;
const UART_MCR_OUT1 = 1 << 2;
const UART_MCR_OUT2 = 1 << 3;
const UART_MCR_LOOP = 1 << 4;
const UART_MCR_MASK = 0x1f;
/** Line status. */
const UART_LSR_DR = 1 << 0;
const UART_LSR_OE = 1 << 1;
const UART_LSR_THRE = 1 << 5;
const UART_LSR_TEMT = 1 << 6;
/** Modem status: the four lines, and below them their changes since the last read. */
const UART_MSR_CTS = 1 << 4;
const UART_MSR_DSR = 1 << 5;
const UART_MSR_RI = 1 << 6;
const UART_MSR_DCD = 1 << 7;
const UART_MSR_DELTA_SHIFT = 4;
/** TERI is set when the ring indicator ends, the other deltas with any change. */
const UART_MSR_TERI = 1 << 2;
const UART_MSR_DELTAS_MASK = 0x0f;

const FIFO_SIZE = 16;

export interface SerialPortConnections {
  /** A byte has been sent. */
  readonly transmit: (byte: number) => void;
  /** Sets the level of the interrupt line; called with changes only. */
  readonly setInterrupt: (level: boolean) => void;
  /** There is room in the receiver again, after `receive` has not taken all. */
  readonly readyToReceive?: () => void;
}

/** Plain JSON. */
export interface SerialPortState {
  readonly interruptEnable: number;
  readonly fifoControl: number;
  readonly lineControl: number;
  readonly modemControl: number;
  readonly modemDeltas: number;
  readonly scratch: number;
  readonly divisor: number;
  /** Bytes in the receiver's FIFO, the oldest first. */
  readonly received: readonly number[];
  readonly isOverrun: boolean;
  readonly isTransmitterEmptyPending: boolean;
}

export class SerialPort implements ByteRegisters {
  readonly #connections: SerialPortConnections;
  #interruptEnable = 0;
  #fifoControl = 0;
  #lineControl = 0;
  #modemControl = 0;
  #modemDeltas = 0;
  #scratch = 0;
  #divisor = 0x0c; // 9600 baud, as firmware leaves it
  #received: number[] = [];
  #isOverrun = false;
  /** The transmitter has become empty, and nobody has been told. It is empty always: bytes leave at once. */
  #isTransmitterEmptyPending = false;
  #isSenderWaiting = false;
  #interruptLevel = false;

  constructor(connections: SerialPortConnections) {
    this.#connections = connections;
  }

  /**
   * Bytes for the guest.
   * @returns how many were taken; when not all, `readyToReceive` is called once there is room
   */
  receive(bytes: Uint8Array): number {
    // In loopback the receiver is disconnected from its line.
    const room = this.#isLoopback ? 0 : this.#capacity - this.#received.length;
    const taken = bytes.subarray(0, Math.max(room, 0));
    this.#received.push(...taken);
    this.#isSenderWaiting = taken.length < bytes.length;
    this.#updateInterrupt();
    return taken.length;
  }

  readRegister(offset: number): number {
    switch (offset) {
      case UART_RX_TX_DLL:
        return this.#isDivisorAccess ? this.#divisor & 0xff : this.#readByte();
      case UART_IER_DLM:
        return this.#isDivisorAccess ? this.#divisor >> 8 : this.#interruptEnable;
      case UART_IIR_FCR:
        return this.#readInterruptIdentification();
      case UART_LCR:
        return this.#lineControl;
      case UART_MCR:
        return this.#modemControl;
      case UART_LSR:
        return this.#readLineStatus();
      case UART_MSR:
        return this.#readModemStatus();
      case UART_SCR:
        return this.#scratch;
      default:
        return 0xff;
    }
  }

  writeRegister(offset: number, value: number): void {
    switch (offset) {
      case UART_RX_TX_DLL:
        if (this.#isDivisorAccess) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#send(value);
        break;
      case UART_IER_DLM:
        if (this.#isDivisorAccess) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeInterruptEnable(value);
        break;
      case UART_IIR_FCR:
        this.#writeFifoControl(value);
        break;
      case UART_LCR:
        this.#lineControl = value;
        break;
      case UART_MCR:
        this.#writeModemControl(value);
        break;
      case UART_SCR:
        this.#scratch = value;
        break;
      default: // The status registers are read-only.
        break;
    }
    this.#updateInterrupt();
  }

  saveState(): SerialPortState {
    return {
      interruptEnable: this.#interruptEnable,
      fifoControl: this.#fifoControl,
      lineControl: this.#lineControl,
      modemControl: this.#modemControl,
      modemDeltas: this.#modemDeltas,
      scratch: this.#scratch,
      divisor: this.#divisor,
      received: [...this.#received],
      isOverrun: this.#isOverrun,
      isTransmitterEmptyPending: this.#isTransmitterEmptyPending,
    };
  }

  /** Call on a port that nobody has used, once the interrupt controllers have their state. @throws SavedStateError */
  restoreState(state: unknown): void {
    const fields = new SavedFields('serial', state);
    this.#interruptEnable = fields.integer('interruptEnable', UART_IER_MASK);
    this.#fifoControl = fields.integer('fifoControl', 0xff);
    this.#lineControl = fields.integer('lineControl', 0xff);
    this.#modemControl = fields.integer('modemControl', UART_MCR_MASK);
    this.#modemDeltas = fields.integer('modemDeltas', UART_MSR_DELTAS_MASK);
    this.#scratch = fields.integer('scratch', 0xff);
    this.#divisor = fields.integer('divisor', 0xffff);
    this.#received = fields.bytes('received', this.#capacity);
    this.#isOverrun = fields.boolean('isOverrun');
    this.#isTransmitterEmptyPending = fields.boolean('isTransmitterEmptyPending');
    this.#updateInterrupt();
  }

  get #isDivisorAccess(): boolean {
    return (this.#lineControl & UART_LCR_DLAB) !== 0;
  }

  get #isLoopback(): boolean {
    return (this.#modemControl & UART_MCR_LOOP) !== 0;
  }

  get #isFifoEnabled(): boolean {
    return (this.#fifoControl & UART_FCR_ENABLE_FIFO) !== 0;
  }

  get #capacity(): number {
    return this.#isFifoEnabled ? FIFO_SIZE : 1;
  }

  #readByte(): number {
    const byte = this.#received.shift() ?? 0;
    this.#updateInterrupt();
    this.#wakeSender();
    return byte;
  }

  #wakeSender(): void {
    if (!this.#isSenderWaiting || this.#isLoopback || this.#received.length >= this.#capacity) return;
    this.#isSenderWaiting = false;
    this.#connections.readyToReceive?.();
  }

  #send(byte: number): void {
    // Writing clears the interrupt; the byte is gone at once, and so it comes again: an edge for an edge-triggered line.
    this.#isTransmitterEmptyPending = false;
    this.#updateInterrupt();
    if (this.#isLoopback) this.#loopBack(byte);
    else this.#connections.transmit(byte);
    this.#isTransmitterEmptyPending = true;
  }

  #loopBack(byte: number): void {
    if (this.#received.length < this.#capacity) this.#received.push(byte);
    else this.#isOverrun = true;
  }

  #writeInterruptEnable(value: number): void {
    const isTransmitterNewlyEnabled = (value & ~this.#interruptEnable & UART_IER_THRI) !== 0;
    if (isTransmitterNewlyEnabled) this.#isTransmitterEmptyPending = true;
    this.#interruptEnable = value & UART_IER_MASK;
  }

  #writeFifoControl(value: number): void {
    // "Changing from the FIFO mode to 16450 mode and vice versa clears data from the FIFOs" (8.5).
    const isModeChange = ((value ^ this.#fifoControl) & UART_FCR_ENABLE_FIFO) !== 0;
    if (isModeChange || (value & UART_FCR_CLEAR_RCVR) !== 0) this.#received = [];
    this.#fifoControl = value;
    this.#wakeSender();
  }

  #writeModemControl(value: number): void {
    const before = this.#modemLines;
    this.#modemControl = value & UART_MCR_MASK;
    const after = this.#modemLines;
    const changes = (before ^ after) >> UART_MSR_DELTA_SHIFT;
    const isRingBegun = (after & UART_MSR_RI) !== 0;
    this.#modemDeltas |= isRingBegun ? changes & ~UART_MSR_TERI : changes;
    this.#wakeSender();
  }

  /** In loopback the outputs come back as inputs (8.9); else the other end is there and ready. */
  get #modemLines(): number {
    if (!this.#isLoopback) return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
    const control = this.#modemControl;
    return (
      ((control & UART_MCR_RTS) !== 0 ? UART_MSR_CTS : 0) |
      ((control & UART_MCR_DTR) !== 0 ? UART_MSR_DSR : 0) |
      ((control & UART_MCR_OUT1) !== 0 ? UART_MSR_RI : 0) |
      ((control & UART_MCR_OUT2) !== 0 ? UART_MSR_DCD : 0)
    );
  }

  #readModemStatus(): number {
    const status = this.#modemLines | this.#modemDeltas;
    this.#modemDeltas = 0;
    this.#updateInterrupt();
    return status;
  }

  #readLineStatus(): number {
    const status =
      UART_LSR_THRE |
      UART_LSR_TEMT |
      (this.#received.length > 0 ? UART_LSR_DR : 0) |
      (this.#isOverrun ? UART_LSR_OE : 0);
    this.#isOverrun = false;
    return status;
  }

  #readInterruptIdentification(): number {
    const source = this.#interruptSource;
    // "Reading the IIR (if source of interrupt)" resets the transmitter's interrupt (table 4-4).
    if (source === UART_IIR_THRI) this.#isTransmitterEmptyPending = false;
    this.#updateInterrupt();
    return source | (this.#isFifoEnabled ? UART_IIR_FIFO_ENABLED : 0);
  }

  /** The pending interrupt of the highest priority. */
  get #interruptSource(): number {
    const enabled = this.#interruptEnable;
    if ((enabled & UART_IER_RDI) !== 0 && this.#received.length > 0) {
      // Fewer bytes than the trigger level are reported by the time-out; no time passes on this line.
      return this.#received.length >= this.#triggerLevel ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
    }
    if ((enabled & UART_IER_THRI) !== 0 && this.#isTransmitterEmptyPending) return UART_IIR_THRI;
    if ((enabled & UART_IER_MSI) !== 0 && this.#modemDeltas !== 0) return UART_IIR_MSI;
    return UART_IIR_NO_INT;
  }

  get #triggerLevel(): number {
    return this.#isFifoEnabled ? (TRIGGER_LEVELS[this.#fifoControl >> UART_FCR_TRIGGER_SHIFT] ?? 1) : 1;
  }

  #updateInterrupt(): void {
    // OUT2 gates the line on a PC, and loopback cuts it off from OUT2's pin.
    const isGateOpen = (this.#modemControl & UART_MCR_OUT2) !== 0 && !this.#isLoopback;
    const level = isGateOpen && this.#interruptSource !== UART_IIR_NO_INT;
    if (level === this.#interruptLevel) return;
    this.#interruptLevel = level;
    this.#connections.setInterrupt(level);
  }
}
