import { describe, expect, test } from 'vitest';
import { entryState } from './entry-state.ts';
import { CODE_32, CODE_64, encodeGdt } from './segments.ts';

function descriptors(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 8 }, (_, index) =>
    view
      .getBigUint64(index * 8, true)
      .toString(16)
      .padStart(16, '0'),
  );
}

describe('encodeGdt', () => {
  test('for 64-bit code', () => {
    expect(descriptors(encodeGdt(CODE_64))).toEqual([
      '0000000000000000',
      '0000000000000000',
      '00af9b000000ffff',
      '00cf93000000ffff',
      '00008b0000000067',
      '0000000000000000',
    ]);
  });

  test('for 32-bit code', () => {
    expect(descriptors(encodeGdt(CODE_32))[2]).toBe('00cf9b000000ffff');
  });
});

describe('entryState', () => {
  test('linux64: long mode with paging, RSI has the zero page, selectors 0x10 and 0x18 (boot.rst)', () => {
    const { registers, specialRegisters } = entryState('linux64', 0x100_0200);

    expect([registers.rip, registers.rsi, registers.rflags]).toEqual([0x100_0200n, 0x7000n, 2n]);
    expect(specialRegisters).toMatchObject({
      cr0: 0x8000_0011n,
      cr3: 0x9000n,
      cr4: 0x20n,
      efer: 0x500n,
      apicBase: 0xfee0_0900n,
      gdt: { base: 0x500n, limit: 47 },
      cs: { selector: 0x10, l: 1, db: 0, type: 0xb },
      ss: { selector: 0x18, l: 0, db: 1, type: 3 },
    });
  });

  test('pvh: flat 32-bit protected mode without paging, EBX has the start info (pvh.pandoc)', () => {
    const { registers, specialRegisters } = entryState('pvh', 0x100_0000);

    expect([registers.rip, registers.rbx]).toEqual([0x100_0000n, 0x6000n]);
    expect(specialRegisters).toMatchObject({
      cr0: 0x11n,
      cr4: 0n,
      efer: 0n,
      cs: { base: 0n, limit: 0xffff_ffff, l: 0, db: 1, type: 0xb },
      tr: { base: 0n, limit: 0x67, type: 0xb, present: 1 },
    });
  });
});
