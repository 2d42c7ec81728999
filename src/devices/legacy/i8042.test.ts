import { describe, expect, test } from 'vitest';
import { SavedStateError } from '../saved-state.ts';
import { I8042 } from './i8042.ts';

const DATA = 0;
const STATUS = 4;
const COMMAND = 4;

function setUp(): { controller: I8042; resets: () => number; levels: boolean[] } {
  const levels: boolean[] = [];
  let resets = 0;
  const controller = new I8042({
    onReset: () => {
      resets++;
    },
    setInterrupt: (level) => levels.push(level),
  });
  return { controller, resets: () => resets, levels };
}

/** A command whose answer is read by polling, as i8042_command does. */
function command(controller: I8042, value: number, parameter?: number): { status: number; byte: number } {
  controller.writeRegister(COMMAND, value);
  if (parameter !== undefined) controller.writeRegister(DATA, parameter);
  return { status: controller.readRegister(STATUS), byte: controller.readRegister(DATA) };
}

describe('reset', () => {
  test('Linux with reboot=k: waits until the input buffer is empty, then pulses the reset line', () => {
    const { controller, resets } = setUp();

    const inputBufferFull = controller.readRegister(STATUS) & 0x02;
    controller.writeRegister(COMMAND, 0xfe);

    expect([inputBufferFull, resets()]).toEqual([0, 1]);
  });

  test('a pulse of other lines is no reset', () => {
    const { controller, resets } = setUp();

    controller.writeRegister(COMMAND, 0xff);

    expect(resets()).toBe(0);
  });

  test('the output port resets too', () => {
    const { controller, resets } = setUp();

    controller.writeRegister(COMMAND, 0xd1);
    controller.writeRegister(DATA, 0x02);

    expect(resets()).toBe(1);
  });
});

describe('what a driver asks when it looks for the controller (drivers/input/serio/i8042.c)', () => {
  test('there is nothing to flush', () => {
    expect(setUp().controller.readRegister(STATUS) & 0x01).toBe(0);
  });

  test('the self-test passes', () => {
    expect(command(setUp().controller, 0xaa)).toEqual({ status: 0x1d, byte: 0x55 });
  });

  test('the configuration byte reads back as written', () => {
    const { controller } = setUp();
    controller.writeRegister(COMMAND, 0x60);
    controller.writeRegister(DATA, 0x45);

    expect(command(controller, 0x20).byte).toBe(0x45);
  });

  test('disabling and enabling the keyboard shows in the configuration byte', () => {
    const { controller } = setUp();
    controller.writeRegister(COMMAND, 0xae);
    const enabled = command(controller, 0x20).byte & 0x10;
    controller.writeRegister(COMMAND, 0xad);

    expect([enabled, command(controller, 0x20).byte & 0x10]).toEqual([0, 0x10]);
  });

  test('the loop of the mouse port comes back unmarked, and its test fails: there is no mouse port', () => {
    const { controller } = setUp();

    const loop = command(controller, 0xd3, 0x5a);
    const portTest = command(controller, 0xa9);

    expect([loop.status & 0x21, loop.byte]).toEqual([0x01, 0x5a]);
    expect([0x00, 0xfa, 0xff]).not.toContain(portTest.byte);
  });
});

describe('the keyboard that is not there', () => {
  test('answers at once with a time-out, and interrupts', () => {
    const { controller, levels } = setUp();
    controller.writeRegister(COMMAND, 0x60);
    controller.writeRegister(DATA, 0x45);

    controller.writeRegister(DATA, 0xf2);
    const status = controller.readRegister(STATUS);
    const byte = controller.readRegister(DATA);

    expect([status & 0x41, byte]).toEqual([0x41, 0xfe]);
    expect(levels).toEqual([true, false]);
  });

  test('does not interrupt when the driver polls', () => {
    const { controller, levels } = setUp();

    controller.writeRegister(DATA, 0xf2);

    expect(levels).toEqual([]);
  });
});

describe('Ctrl+Alt+Del', () => {
  /** Reads while there is something to read. */
  function readAll(controller: I8042): number[] {
    const bytes: number[] = [];
    while ((controller.readRegister(STATUS) & 0x01) !== 0) bytes.push(controller.readRegister(DATA));
    return bytes;
  }

  function configure(controller: I8042, configuration: number): void {
    controller.writeRegister(COMMAND, 0x60);
    controller.writeRegister(DATA, configuration);
  }

  test.each([
    ['set 2', 0x05, [0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14]],
    ['translated to set 1', 0x45, [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d]],
  ])('goes down and up in scan codes of %s, an edge for each byte', (_, configuration, codes) => {
    const { controller, levels } = setUp();
    configure(controller, configuration);

    const isHeard = controller.pressCtrlAltDel();

    expect(isHeard).toBe(true);
    expect(readAll(controller)).toEqual(codes);
    expect(levels).toEqual(codes.flatMap(() => [true, false]));
  });

  test.each([
    ['the keyboard is disabled', 0x15],
    ['it has no interrupt', 0x04],
  ])('is not sent while %s', (_, configuration) => {
    const { controller, levels } = setUp();
    configure(controller, configuration);

    const isHeard = controller.pressCtrlAltDel();

    expect([isHeard, readAll(controller), levels]).toEqual([false, [], []]);
  });

  test('is pressed once while it is being read', () => {
    const { controller } = setUp();
    configure(controller, 0x05);

    controller.pressCtrlAltDel();
    controller.pressCtrlAltDel();

    expect(readAll(controller).length).toBe(11);
  });

  test('waits behind an answer of the controller, and while the keyboard is disabled', () => {
    const { controller } = setUp();
    configure(controller, 0x05);
    controller.pressCtrlAltDel();
    controller.readRegister(DATA);

    const answer = command(controller, 0x20).byte;
    controller.writeRegister(COMMAND, 0xad);
    const whileDisabled = readAll(controller);
    controller.writeRegister(COMMAND, 0xae);

    expect([answer, whileDisabled]).toEqual([0x05, []]);
    expect(readAll(controller)[0]).toBe(0x11);
  });
});

describe('saved state', () => {
  test('goes on in another controller: configuration, a command that waits for its byte, and the interrupt', () => {
    const { controller } = setUp();
    controller.writeRegister(COMMAND, 0x60);
    controller.writeRegister(DATA, 0x05);
    controller.pressCtrlAltDel();
    controller.writeRegister(COMMAND, 0xd1);
    const other = setUp();

    other.controller.restoreState(JSON.parse(JSON.stringify(controller.saveState())));
    other.controller.writeRegister(DATA, 0x02);

    expect([other.resets(), other.levels]).toEqual([1, [true]]);
    expect(other.controller.readRegister(DATA)).toBe(0x14);
    expect(command(other.controller, 0x20).byte).toBe(0x05);
  });

  test('keeps the answer that was not read', () => {
    const { controller } = setUp();
    controller.writeRegister(COMMAND, 0xaa);
    const other = setUp();

    other.controller.restoreState(JSON.parse(JSON.stringify(controller.saveState())));

    expect(other.controller.readRegister(DATA)).toBe(0x55);
  });

  test.each([
    [null],
    [[]],
    [{}],
    [{ configuration: 256, pendingCommand: null, isLastWriteCommand: false, output: null, keys: [] }],
    [{ configuration: 0, pendingCommand: 'x', isLastWriteCommand: false, output: null, keys: [] }],
    [{ configuration: 0, pendingCommand: null, isLastWriteCommand: 1, output: null, keys: [] }],
    [{ configuration: 0, pendingCommand: null, isLastWriteCommand: false, output: { byte: 1 }, keys: [] }],
    [{ configuration: 0, pendingCommand: null, isLastWriteCommand: false, output: null, keys: new Array(12).fill(0) }],
  ])('%j is refused', (state) => {
    expect(() => setUp().controller.restoreState(state)).toThrow(SavedStateError);
  });
});
