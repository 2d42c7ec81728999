import { expect, test } from 'vitest';
import { machineCode } from './machine-code.ts';

test('a listing is its bytes, without the instructions behind the semicolons', () => {
  const listing = `
    b0 41 ; mov al, 0x41
    ; a line of its own
    f4`;

  expect(machineCode(listing)).toEqual(Uint8Array.of(0xb0, 0x41, 0xf4));
});

test('what is no byte is refused', () => {
  expect(() => machineCode('mov al')).toThrow('"mov" in a listing is not a byte');
});
