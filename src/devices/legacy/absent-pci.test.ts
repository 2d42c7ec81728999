import { expect, test } from 'vitest';
import { AddressBus } from '../../bus/address-bus.ts';
import { absentPci } from './absent-pci.ts';

test('a prober finds no host bridge: the address it wrote does not read back', () => {
  const bus = new AddressBus('pio');
  bus.register('pci', { base: 0xcf8, length: 8 }, absentPci);
  const data = new Uint8Array(4);

  bus.write(0xcf8, Uint8Array.of(0, 0, 0, 0x80));
  bus.read(0xcf8, data);

  expect(data).toEqual(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  expect([bus.unclaimedReads, bus.unclaimedWrites]).toEqual([0, 0]);
});
