import { describe, expect, test } from 'vitest';
import { SavedStateError } from '../saved-state.ts';
import { POWER_EVENT, Power } from './power.ts';

const EVENTS = 0;
const SLEEP_CONTROL = 1;
const SLEEP_STATUS = 2;

function setUp(): { power: Power; powerOffs: () => number; levels: boolean[] } {
  const levels: boolean[] = [];
  let powerOffs = 0;
  const power = new Power({
    onPowerOff: () => {
      powerOffs++;
    },
    setInterrupt: (level) => levels.push(level),
  });
  return { power, powerOffs: () => powerOffs, levels };
}

describe('sleep registers', () => {
  test('S5 with SLP_EN switches the machine off, as acpi_hw_extended_sleep does it', () => {
    const { power, powerOffs } = setUp();

    power.writeRegister(SLEEP_STATUS, 0x80);
    power.writeRegister(SLEEP_CONTROL, (5 << 2) | (1 << 5));

    expect([powerOffs(), power.readRegister(SLEEP_STATUS)]).toEqual([1, 0]);
  });

  test.each([
    ['S5 without SLP_EN', SLEEP_CONTROL, 5 << 2],
    ['another sleep state', SLEEP_CONTROL, (3 << 2) | (1 << 5)],
    ['the same value in another register', SLEEP_STATUS, (5 << 2) | (1 << 5)],
  ])('%s does not', (_, register, value) => {
    const { power, powerOffs } = setUp();

    power.writeRegister(register, value);

    expect(powerOffs()).toBe(0);
  });
});

describe('events', () => {
  test('hold the interrupt line until they are read, which clears them', () => {
    const { power, levels } = setUp();

    power.raise(POWER_EVENT.powerButton);
    power.raise(POWER_EVENT.newGeneration);
    power.raise(POWER_EVENT.powerButton);
    const reads = [power.readRegister(EVENTS), power.readRegister(EVENTS)];

    expect([reads, levels]).toEqual([
      [3, 0],
      [true, false],
    ]);
  });

  test('cannot be written by the guest', () => {
    const { power, levels } = setUp();

    power.writeRegister(EVENTS, 0xff);

    expect([power.readRegister(EVENTS), levels]).toEqual([0, []]);
  });
});

describe('saved state', () => {
  test('has the events that the guest has not seen', () => {
    const { power } = setUp();
    power.raise(POWER_EVENT.powerButton);
    const other = setUp();

    other.power.restoreState(JSON.parse(JSON.stringify(power.saveState())));

    expect(other.levels).toEqual([true]);
    expect(other.power.readRegister(EVENTS)).toBe(1);
  });

  test.each([[undefined], [{}], [{ events: 4 }], [{ events: -1 }]])('%j is refused', (state) => {
    expect(() => setUp().power.restoreState(state)).toThrow(SavedStateError);
  });
});
