// What a guest's processor finds where memory is plugged, and where it is not.
import { describe, expect, test } from 'vitest';
import { BARE_LAYOUT } from '../hypervisor/kvm/bare-guest.ts';
import { machineCode } from '../hypervisor/kvm/machine-code.ts';
import { GuestUnderTest, hasKvm } from '../hypervisor/testing/kvm.ts';
import { guestAddress } from '../lib/brand.ts';
import { MIB } from '../lib/units.ts';
import { GrowthMemory } from './growth-memory.ts';

const REGION = { address: guestAddress(BARE_LAYOUT.device), size: 2 * MIB, blockSize: 2 * MIB };

describe.skipIf(!hasKvm())('a processor', () => {
  test('writes to memory that is plugged, and to nothing before and after', async () => {
    const code = machineCode(`
      bb 00 00 00 d0 ; mov ebx, 0xd0000000
      c6 03 01       ; mov byte [rbx], 1
      e6 80          ; out 0x80, al
      c6 43 01 02    ; mov byte [rbx+1], 2
      e6 81          ; out 0x81, al
      c6 43 02 03    ; mov byte [rbx+2], 3
      f4             ; hlt`);
    using guest = new GuestUnderTest({ mode: 'long', code });
    using host = guest.allocate(REGION.size);
    const growth = new GrowthMemory(guest.vm, REGION, host);
    let whilePlugged: readonly number[] = [];
    const answers = new Map([
      [0x80, () => growth.plug(0)],
      [
        0x81,
        () => {
          whilePlugged = [...host.bytes.subarray(0, 3)];
          growth.unplug(0);
        },
      ],
    ]);

    const exits = await guest.exitsUntilEnd((exit) => {
      if (exit.kind === 'pio-write') answers.get(exit.port)?.();
    });

    expect(exits).toMatchObject([
      { kind: 'mmio-write', address: REGION.address, data: Uint8Array.of(1) },
      { kind: 'pio-write', port: 0x80 },
      { kind: 'pio-write', port: 0x81 },
      { kind: 'mmio-write', address: REGION.address + 2, data: Uint8Array.of(3) },
      { kind: 'hlt' },
    ]);
    expect(whilePlugged).toEqual([0, 2, 0]);
    expect([...host.bytes.subarray(0, 3)]).toEqual([0, 0, 0]);
  });
});
