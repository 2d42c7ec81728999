import { describe, expect, test } from 'vitest';
import { addParameters, CommandLineError, encodeCommandLine, virtioMmioParameter } from './command-line.ts';
import { virtioMmioSlot } from './layout.ts';

test('virtioMmioParameter writes what Linux parses', () => {
  expect([virtioMmioParameter(virtioMmioSlot(0)), virtioMmioParameter(virtioMmioSlot(16))]).toEqual([
    'virtio_mmio.device=4K@0xc0000000:5',
    'virtio_mmio.device=4K@0xc0010000:23',
  ]);
});

describe('addParameters', () => {
  test('adds behind what is there', () => {
    expect(addParameters('console=ttyS0  panic=-1', ['a=1', 'b'])).toBe('console=ttyS0 panic=-1 a=1 b');
  });

  test("stays before the init program's arguments", () => {
    expect(addParameters('quiet -- --verbose --', ['a=1'])).toBe('quiet a=1 -- --verbose --');
  });

  test('starts an empty line', () => {
    expect(addParameters('', ['a=1'])).toBe('a=1');
  });
});

describe('encodeCommandLine', () => {
  test('ends with a zero', () => {
    expect(encodeCommandLine('ab', 2)).toEqual(Uint8Array.of(0x61, 0x62, 0));
  });

  test('counts bytes, not characters', () => {
    expect(() => encodeCommandLine('é', 1)).toThrow('has 2 bytes, this kernel takes 1');
  });

  test.each(['a\0b', 'a\nb'])('refuses %j', (line) => {
    expect(() => encodeCommandLine(line, 2047)).toThrow(CommandLineError);
  });
});
