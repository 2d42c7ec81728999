import { expect, test } from 'vitest';
import { Pvpanic } from './pvpanic.ts';

function setUp(): { device: Pvpanic; said: string[] } {
  const said: string[] = [];
  const device = new Pvpanic({ onPanic: () => said.push('panic'), onCrashLoaded: () => said.push('crash loaded') });
  return { device, said };
}

test('names the two events that it knows', () => {
  expect(setUp().device.readRegister()).toBe(0x03);
});

test.each([
  ['a panic', 0x01, ['panic']],
  ['a panic that a crash kernel handles', 0x02, ['crash loaded']],
  ['bits that the device does not know', 0xfc, []],
])('%s', (_, value, expected) => {
  const { device, said } = setUp();

  device.writeRegister(0, value);

  expect(said).toEqual(expected);
});
