import { describe, expect, test } from 'vitest';
import type { MachineState } from '../ports.ts';
import { withoutStructure, withStructure } from '../testing/snapshot.ts';
import { KVM_CLOCK_REALTIME, KVM_CLOCK_TSC_STABLE, kvm_clock_data, kvm_irqchip } from './abi.gen.ts';
import { type MachinePort, restoreMachineState, saveMachineState } from './machine-state.ts';

const CLOCK_NS = 123_456_789n;
const REALTIME_NS = 1_700_000_000_000_000_000n;

function fakeMachine(hasInterruptControllers = true): MachinePort & { readonly written: [string, DataView][] } {
  const written: [string, DataView][] = [];
  return {
    hasInterruptControllers,
    written,
    call: (_request, name, view) => {
      if (name.startsWith('KVM_SET_')) written.push([name, view]);
      if (name === 'KVM_GET_IRQCHIP')
        new Uint8Array(view.buffer).fill(0x40 + view.getUint32(kvm_irqchip.chip_id, true), kvm_irqchip.chip);
      if (name !== 'KVM_GET_CLOCK') return;
      view.setBigUint64(kvm_clock_data.clock, CLOCK_NS, true);
      view.setUint32(kvm_clock_data.flags, KVM_CLOCK_REALTIME | KVM_CLOCK_TSC_STABLE, true);
      view.setBigUint64(kvm_clock_data.realtime, REALTIME_NS, true);
    },
  };
}

const SAVED = saveMachineState(fakeMachine());

test('a machine gets back its chips, its timer, and a clock without the time that has passed', () => {
  const machine = fakeMachine();

  restoreMachineState(machine, SAVED);

  expect(machine.written.map(([name]) => name)).toEqual([
    'KVM_SET_IRQCHIP',
    'KVM_SET_IRQCHIP',
    'KVM_SET_IRQCHIP',
    'KVM_SET_PIT2',
    'KVM_SET_CLOCK',
  ]);
  expect(machine.written.slice(0, 3).map(([, view]) => [view.getUint32(0, true), view.getUint8(8)])).toEqual([
    [0, 0x40],
    [1, 0x41],
    [2, 0x42],
  ]);
  const clock = machine.written.at(-1)?.[1];
  expect(clock?.getBigUint64(kvm_clock_data.clock, true)).toBe(CLOCK_NS);
  expect(clock?.getUint32(kvm_clock_data.flags, true)).toBe(0);
});

test('a machine without interrupt controllers has its clock only', () => {
  const bare = saveMachineState(fakeMachine(false));
  const machine = fakeMachine(false);

  restoreMachineState(machine, bare);

  expect(machine.written.map(([name]) => name)).toEqual(['KVM_SET_CLOCK']);
});

describe('a machine state is refused, before anything is written,', () => {
  const cases: readonly [title: string, state: MachineState, hasControllers: boolean, text: string][] = [
    ['that is a list', [] as unknown as MachineState, true, 'the saved machine is [], which is no state'],
    ['of another version', { ...SAVED, version: 7 as 1 }, true, 'the saved machine is of version 7'],
    ['without its clock', withoutStructure(SAVED, 'KVM_GET_CLOCK'), true, 'lacks KVM_GET_CLOCK'],
    ['without its timer', withoutStructure(SAVED, 'KVM_GET_PIT2'), true, 'lacks KVM_GET_PIT2'],
    [
      'with one chip in the place of another',
      withStructure(SAVED, 'KVM_IRQCHIP_IOAPIC', (view) => view.setUint32(0, 1, true)),
      true,
      'KVM_IRQCHIP_IOAPIC of the saved machine is of chip 1',
    ],
    [
      'with a timer of another size',
      { ...SAVED, structures: { ...SAVED.structures, KVM_GET_PIT2: new Uint8Array(4) } },
      true,
      'KVM_GET_PIT2 of the saved machine has 4 bytes instead of 112',
    ],
    ['with chips that the VM does not have', SAVED, false, 'the VM has no interrupt controllers'],
  ];

  test.each(cases)('%s', (_title, state, hasControllers, text) => {
    const machine = fakeMachine(hasControllers);

    expect(() => restoreMachineState(machine, state)).toThrow(
      expect.objectContaining({ code: 'STATE_INVALID', message: expect.stringContaining(text) }),
    );
    expect(machine.written).toEqual([]);
  });
});
