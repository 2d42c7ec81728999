import { describe, expect, test } from 'vitest';
import { SavedStateError } from '../saved-state.ts';
import { CmosRtc } from './cmos-rtc.ts';

const INDEX = 0;
const DATA = 1;

function read(clock: CmosRtc, index: number): number {
  clock.writeRegister(INDEX, index);
  return clock.readRegister(DATA);
}

describe('CmosRtc', () => {
  test('shows the time it is given, in BCD and UTC', () => {
    const clock = new CmosRtc(() => Date.UTC(2031, 10, 29, 23, 58, 47));

    const [second, minute, hour, weekday, day, month, year, century] = [0, 2, 4, 6, 7, 8, 9, 0x32].map((index) =>
      read(clock, index),
    );

    expect([century, year, month, day]).toEqual([0x20, 0x31, 0x11, 0x29]);
    expect([hour, minute, second]).toEqual([0x23, 0x58, 0x47]);
    expect(weekday).toBe(7); // a Saturday
  });

  test('says that no update is in progress, that the time is valid, in BCD and 24 hours', () => {
    const clock = new CmosRtc(() => 0);

    expect([read(clock, 0x0a) & 0x80, read(clock, 0x0b), read(clock, 0x0c), read(clock, 0x0d)]).toEqual([
      0, 0x02, 0, 0x80,
    ]);
  });

  test('keeps what is written to the memory, and its time', () => {
    const clock = new CmosRtc(() => Date.UTC(2031, 0, 1));
    for (const [index, value] of [
      [0x0f, 0x0a],
      [0x09, 0x99],
    ] as const) {
      clock.writeRegister(INDEX, index);
      clock.writeRegister(DATA, value);
    }

    expect([read(clock, 0x0f), read(clock, 0x09)]).toEqual([0x0a, 0x31]);
  });

  test('does not take the NMI mask for a part of the index', () => {
    const clock = new CmosRtc(() => 0);

    expect(read(clock, 0x80 | 0x0d)).toBe(0x80);
  });

  test('goes on in another clock with its memory and its index; the time is the other one', () => {
    const clock = new CmosRtc(() => 0);
    clock.writeRegister(INDEX, 0x0f);
    clock.writeRegister(DATA, 0x0a);
    const other = new CmosRtc(() => Date.UTC(2031, 0, 1));

    other.restoreState(JSON.parse(JSON.stringify(clock.saveState())));

    expect([other.readRegister(DATA), read(other, 0x09)]).toEqual([0x0a, 0x31]);
  });

  test.each([[{}], [{ index: 128, memory: [] }], [{ index: 0, memory: new Array(129).fill(0) }]])(
    'does not take the state %j',
    (state) => {
      expect(() => new CmosRtc(() => 0).restoreState(state)).toThrow(SavedStateError);
    },
  );
});
