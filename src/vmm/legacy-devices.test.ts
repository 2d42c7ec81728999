import { describe, expect, test } from 'vitest';
import { GENERATION_ID_ADDRESS } from '../arch/x86_64/layout.ts';
import { AddressBus } from '../bus/address-bus.ts';
import { SavedStateError } from '../devices/saved-state.ts';
import { guestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { LegacyDevices } from './legacy-devices.ts';
import type { StopReason } from './stop-reason.ts';

const EVENTS_GSI = 8;
const KEYBOARD_GSI = 1;

interface Setup {
  readonly devices: LegacyDevices;
  readonly pioBus: AddressBus;
  readonly memory: GuestMemory;
  readonly stops: StopReason[];
  readonly lines: [number, boolean][];
  readonly log: string[];
}

function setUp(hasSerialPort = true): Setup {
  const stops: StopReason[] = [];
  const lines: [number, boolean][] = [];
  const log: string[] = [];
  const pioBus = new AddressBus('pio');
  const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(MIB) }]);
  const devices = new LegacyDevices({
    machine: { setInterruptLine: (gsi, level) => lines.push([gsi, level]) },
    pioBus,
    memory,
    hasSerialPort,
    serialOutput: () => {},
    stop: (reason) => stops.push(reason),
    log: (line) => log.push(line),
  });
  return { devices, pioBus, memory, stops, lines, log };
}

function read(bus: AddressBus, port: number): number {
  const data = new Uint8Array(1);
  bus.read(port, data);
  return data[0] ?? 0;
}

describe('the guest ends the machine', () => {
  test.each<[string, number, number, StopReason[]]>([
    ['by the keyboard controller', 0x64, 0xfe, [{ kind: 'guest-reset' }]],
    ['by S5', 0x601, 0x34, [{ kind: 'guest-power-off' }]],
    ['by a panic', 0x505, 0x01, [{ kind: 'guest-panic' }]],
    ['not by a panic that its crash kernel handles', 0x505, 0x02, []],
  ])('%s', (_, port, value, expected) => {
    const { pioBus, stops } = setUp();

    pioBus.write(port, Uint8Array.of(value));

    expect(stops).toEqual(expected);
  });

  test('and a crash kernel is told of', () => {
    const { pioBus, log } = setUp();

    pioBus.write(0x505, Uint8Array.of(0x02));

    expect(log).toEqual(['the guest kernel has panicked; its crash kernel takes over']);
  });
});

test('the power button is an event with an interrupt', () => {
  const { devices, pioBus, lines } = setUp();

  devices.pressPowerButton();

  expect(read(pioBus, 0x600)).toBe(1);
  expect(lines).toEqual([
    [EVENTS_GSI, true],
    [EVENTS_GSI, false],
  ]);
});

test('a generation is 16 random bytes in guest memory, and a new one is an event', () => {
  const { devices, memory, pioBus } = setUp();

  devices.publishGeneration();
  const first = memory.slice(GENERATION_ID_ADDRESS, 16).slice();
  const eventsBefore = read(pioBus, 0x600);
  devices.renewGeneration();

  expect(first).not.toEqual(new Uint8Array(16));
  expect(memory.slice(GENERATION_ID_ADDRESS, 16)).not.toEqual(first);
  expect([eventsBefore, read(pioBus, 0x600)]).toEqual([0, 2]);
});

test('Ctrl+Alt+Del is heard once a driver has enabled the keyboard', () => {
  const { devices, pioBus, lines } = setUp();

  const before = devices.pressCtrlAltDel();
  pioBus.write(0x64, Uint8Array.of(0x60));
  pioBus.write(0x60, Uint8Array.of(0x05));

  expect([before, devices.pressCtrlAltDel()]).toEqual([false, true]);
  expect(lines).toEqual([[KEYBOARD_GSI, true]]);
});

test('a machine without a serial port has none', () => {
  const reads = [true, false].map((hasSerialPort) => read(setUp(hasSerialPort).pioBus, 0x3fd));

  expect(reads).toEqual([0x60, 0xff]);
});

describe('saved state', () => {
  test('goes on in other devices', () => {
    const { devices, pioBus } = setUp();
    pioBus.write(0x3ff, Uint8Array.of(0x5a));
    pioBus.write(0x70, Uint8Array.of(0x0f));
    pioBus.write(0x71, Uint8Array.of(0x0a));
    devices.pressPowerButton();
    devices.serial.input(Uint8Array.of(1, 2));
    const other = setUp();

    other.devices.restoreState(JSON.parse(JSON.stringify(devices.saveState())));

    expect([0x3ff, 0x71, 0x600, 0x3f8, 0x3f8].map((port) => read(other.pioBus, port))).toEqual([0x5a, 0x0a, 1, 1, 2]);
  });

  test('of another machine is refused', () => {
    expect(() => setUp().devices.restoreState({ serial: {} })).toThrow(SavedStateError);
  });
});
