// The PC's keyboard controller, without keyboard and mouse: it is there to be found, quickly, and to reset the machine. The one
// combination of keys that it can send is Ctrl+Alt+Del, to drivers that do not ask for a keyboard (Linux: i8042.dumbkbd).
// Source: Intel 8042 as in the IBM PC AT Technical Reference, "Keyboard Controller"; Linux, drivers/input/serio/i8042.h.
import type { ByteRegisters } from '../../bus/byte-registers.ts';
import { SavedFields } from '../saved-state.ts';

/** Ports, counted from 0x60. */
const DATA_PORT = 0;
const COMMAND_STATUS_PORT = 4;

/** Status register. The input buffer is never full: commands are carried out at once. */
const I8042_STR_OBF = 1 << 0;
const I8042_STR_SYSTEM_FLAG = 1 << 2;
const I8042_STR_CMDDAT = 1 << 3;
const I8042_STR_KEYLOCK = 1 << 4;
const I8042_STR_TIMEOUT = 1 << 6;

/** Configuration byte. */
const I8042_CTR_KBDINT = 1 << 0;
const I8042_CTR_SYSTEM_FLAG = 1 << 2;
const I8042_CTR_KBDDIS = 1 << 4;
const I8042_CTR_AUXDIS = 1 << 5;
/** Scan codes of set 2 are translated to set 1. */
const I8042_CTR_XLATE = 1 << 6;

/** Commands. */
const READ_CONFIGURATION = 0x20;
const WRITE_CONFIGURATION = 0x60;
const TEST_AUX = 0xa9;
const SELF_TEST = 0xaa;
const TEST_KEYBOARD = 0xab;
const DISABLE_KEYBOARD = 0xad;
const ENABLE_KEYBOARD = 0xae;
const READ_OUTPUT_PORT = 0xd0;
const WRITE_OUTPUT_PORT = 0xd1;
const WRITE_KEYBOARD_BUFFER = 0xd2;
const WRITE_AUX_BUFFER = 0xd3;
const WRITE_AUX = 0xd4;
/** 0xf0 to 0xff pulse the output lines whose bits are zero; bit 0 is the processor's reset. Linux (`reboot=k`): 0xfe. */
const PULSE_OUTPUT_PORT = 0xf0;

/** Answers. */
const SELF_TEST_PASSED = 0x55;
const TEST_PASSED = 0x00;
/** "clock line stuck high": nothing is connected. */
const TEST_CLOCK_STUCK_HIGH = 0x02;
/** What the controller puts in the buffer when a device does not answer. */
const NO_ANSWER = 0xfe;

/** Output port bits. */
const OUTPUT_RESET_INACTIVE = 1 << 0;
const OUTPUT_A20 = 1 << 1;

/** Ctrl, Alt and Del go down, then up in reverse order. Source: IBM PS/2 Technical Reference, "Keyboard Scan Codes". */
const CTRL_ALT_DEL_SET_1 = [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d];
const CTRL_ALT_DEL_SET_2 = [0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14];

export interface I8042Connections {
  /** The guest has pulled the processor's reset line. */
  readonly onReset: () => void;
  /** Sets the level of the keyboard's interrupt line; called with changes only. */
  readonly setInterrupt: (level: boolean) => void;
}

interface Output {
  readonly byte: number;
  readonly status: number;
  /** It came from the keyboard's side, so it interrupts; answers of the controller itself do not. */
  readonly isInterrupting: boolean;
}

/** Plain JSON. */
export interface I8042State {
  readonly configuration: number;
  readonly pendingCommand: number | null;
  readonly isLastWriteCommand: boolean;
  readonly output: Output | null;
  readonly keys: readonly number[];
}

export class I8042 implements ByteRegisters {
  readonly #connections: I8042Connections;
  #configuration = I8042_CTR_SYSTEM_FLAG | I8042_CTR_KBDDIS | I8042_CTR_AUXDIS;
  /** A command that waits for its byte on the data port. */
  #pendingCommand: number | undefined;
  #isLastWriteCommand = false;
  #output: Output | undefined;
  /** Scan codes that the guest has not read. They wait until it has read `#output`. */
  #keys: number[] = [];
  #interruptLevel = false;

  constructor(connections: I8042Connections) {
    this.#connections = connections;
  }

  readRegister(offset: number): number {
    switch (offset) {
      case DATA_PORT:
        return this.#readData();
      case COMMAND_STATUS_PORT:
        return this.#status;
      default: // 0x61 to 0x63 are not the controller's.
        return 0xff;
    }
  }

  writeRegister(offset: number, value: number): void {
    switch (offset) {
      case DATA_PORT:
        this.#isLastWriteCommand = false;
        this.#writeData(value);
        break;
      case COMMAND_STATUS_PORT:
        this.#isLastWriteCommand = true;
        this.#writeCommand(value);
        break;
      default:
        break;
    }
    this.#updateInterrupt();
  }

  /**
   * Presses and releases Ctrl+Alt+Del, unless it is being pressed.
   * @returns whether the guest listens: whether a driver has enabled the keyboard and its interrupt
   */
  pressCtrlAltDel(): boolean {
    const isInterrupting = (this.#configuration & I8042_CTR_KBDINT) !== 0;
    if (!this.#isKeyboardEnabled || !isInterrupting) return false;
    const isTranslated = (this.#configuration & I8042_CTR_XLATE) !== 0;
    if (this.#keys.length === 0) this.#keys = [...(isTranslated ? CTRL_ALT_DEL_SET_1 : CTRL_ALT_DEL_SET_2)];
    this.#updateInterrupt();
    return true;
  }

  saveState(): I8042State {
    return {
      configuration: this.#configuration,
      pendingCommand: this.#pendingCommand ?? null,
      isLastWriteCommand: this.#isLastWriteCommand,
      output: this.#output ?? null,
      keys: [...this.#keys],
    };
  }

  /** Call on a controller that nobody has used, once the interrupt controllers have their state. @throws SavedStateError */
  restoreState(state: unknown): void {
    const fields = new SavedFields('i8042', state);
    this.#configuration = fields.integer('configuration', 0xff);
    this.#pendingCommand = fields.optional('pendingCommand', (all, name) => all.integer(name, 0xff));
    this.#isLastWriteCommand = fields.boolean('isLastWriteCommand');
    this.#output = fields.optional('output', (all, name) => {
      const output = all.object(name);
      return {
        byte: output.integer('byte', 0xff),
        status: output.integer('status', 0xff),
        isInterrupting: output.boolean('isInterrupting'),
      };
    });
    this.#keys = fields.bytes('keys', CTRL_ALT_DEL_SET_2.length);
    this.#updateInterrupt();
  }

  get #isKeyboardEnabled(): boolean {
    return (this.#configuration & I8042_CTR_KBDDIS) === 0;
  }

  /** What the guest reads next. */
  get #front(): Output | undefined {
    const key = this.#isKeyboardEnabled ? this.#keys[0] : undefined;
    return this.#output ?? (key === undefined ? undefined : { byte: key, status: 0, isInterrupting: true });
  }

  get #status(): number {
    const front = this.#front;
    return (
      I8042_STR_SYSTEM_FLAG |
      I8042_STR_KEYLOCK |
      (this.#isLastWriteCommand ? I8042_STR_CMDDAT : 0) |
      (front === undefined ? 0 : I8042_STR_OBF | front.status)
    );
  }

  #readData(): number {
    const front = this.#front;
    if (this.#output !== undefined) this.#output = undefined;
    else if (front !== undefined) this.#keys.shift();
    // The line is edge-triggered: with a further byte it goes down first.
    this.#setInterruptLevel(false);
    this.#updateInterrupt();
    return front?.byte ?? 0;
  }

  #writeCommand(command: number): void {
    this.#pendingCommand = undefined;
    if (command >= PULSE_OUTPUT_PORT) {
      if ((command & OUTPUT_RESET_INACTIVE) === 0) this.#connections.onReset();
      return;
    }
    switch (command) {
      case READ_CONFIGURATION:
        this.#answer(this.#configuration);
        break;
      case SELF_TEST:
        this.#answer(SELF_TEST_PASSED);
        break;
      case TEST_KEYBOARD:
        this.#answer(TEST_PASSED);
        break;
      case TEST_AUX:
        this.#answer(TEST_CLOCK_STUCK_HIGH);
        break;
      case READ_OUTPUT_PORT:
        this.#answer(OUTPUT_RESET_INACTIVE | OUTPUT_A20);
        break;
      case DISABLE_KEYBOARD:
        this.#configuration |= I8042_CTR_KBDDIS;
        break;
      case ENABLE_KEYBOARD:
        this.#configuration &= ~I8042_CTR_KBDDIS;
        break;
      case WRITE_CONFIGURATION:
      case WRITE_OUTPUT_PORT:
      case WRITE_KEYBOARD_BUFFER:
      case WRITE_AUX_BUFFER:
      case WRITE_AUX:
        this.#pendingCommand = command;
        break;
      default: // Unknown commands have no effect.
        break;
    }
  }

  #writeData(value: number): void {
    const command = this.#pendingCommand;
    this.#pendingCommand = undefined;
    switch (command) {
      case WRITE_CONFIGURATION:
        this.#configuration = value;
        break;
      case WRITE_OUTPUT_PORT:
        if ((value & OUTPUT_RESET_INACTIVE) === 0) this.#connections.onReset();
        break;
      case WRITE_KEYBOARD_BUFFER:
        this.#output = { byte: value, status: 0, isInterrupting: true };
        break;
      case WRITE_AUX_BUFFER:
        // Comes back without the mark of the mouse's port: there is no such port.
        this.#answer(value);
        break;
      default:
        // For the keyboard, or with WRITE_AUX for the mouse: neither is there, and a driver learns so at once.
        this.#output = { byte: NO_ANSWER, status: I8042_STR_TIMEOUT, isInterrupting: command === undefined };
    }
  }

  #answer(byte: number): void {
    this.#output = { byte, status: 0, isInterrupting: false };
  }

  #updateInterrupt(): void {
    this.#setInterruptLevel(this.#front?.isInterrupting === true && (this.#configuration & I8042_CTR_KBDINT) !== 0);
  }

  #setInterruptLevel(level: boolean): void {
    if (level === this.#interruptLevel) return;
    this.#interruptLevel = level;
    this.#connections.setInterrupt(level);
  }
}
