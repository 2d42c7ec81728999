import { describe, expect, test } from 'vitest';
import {
  KVM_EXIT_DEBUG,
  KVM_EXIT_FAIL_ENTRY,
  KVM_EXIT_INTERNAL_ERROR,
  KVM_EXIT_IO,
  KVM_EXIT_IO_IN,
  KVM_EXIT_MMIO,
  KVM_EXIT_SYSTEM_EVENT,
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
  KVM_SYSTEM_EVENT_RESET,
  kvm_run,
} from './abi.gen.ts';
import { decodeExit, exitReasonName } from './exit.ts';

function run(reason: number, fill: (view: DataView, bytes: Uint8Array) => void): [DataView, Uint8Array] {
  const bytes = new Uint8Array(8192);
  const view = new DataView(bytes.buffer);
  view.setUint32(kvm_run.exit_reason, reason, true);
  fill(view, bytes);
  return [view, bytes];
}

function ioExit(size: number, count: number): [DataView, Uint8Array] {
  return run(KVM_EXIT_IO, (view) => {
    view.setUint8(kvm_run['io.direction'], KVM_EXIT_IO_IN);
    view.setUint8(kvm_run['io.size'], size);
    view.setUint16(kvm_run['io.port'], 0x3f8, true);
    view.setUint32(kvm_run['io.count'], count, true);
    view.setBigUint64(kvm_run['io.data_offset'], 4096n, true);
  });
}

describe('decodeExit', () => {
  test('port input is a view of the bytes that the guest gets', () => {
    const [view, bytes] = ioExit(2, 3);

    const exit = decodeExit(view, bytes);

    expect(exit).toEqual({ kind: 'pio-read', port: 0x3f8, size: 2, data: new Uint8Array(6) });
    expect(exit).toHaveProperty('data.byteOffset', 4096);
  });

  test('a port access of a width that x86 does not have is unsupported', () => {
    expect(decodeExit(...ioExit(3, 1))).toEqual({
      kind: 'unsupported',
      reason: KVM_EXIT_IO,
      name: 'KVM_EXIT_IO',
    });
  });

  test('an MMIO write has its address and data', () => {
    const exit = run(KVM_EXIT_MMIO, (view, bytes) => {
      view.setBigUint64(kvm_run['mmio.phys_addr'], 0xd000_0050n, true);
      view.setUint32(kvm_run['mmio.len'], 4, true);
      view.setUint8(kvm_run['mmio.is_write'], 1);
      bytes.set([1, 2, 3, 4], kvm_run['mmio.data']);
    });

    expect(decodeExit(...exit)).toEqual({
      kind: 'mmio-write',
      address: 0xd000_0050,
      data: Uint8Array.of(1, 2, 3, 4),
    });
  });

  test('an internal error has no more data than the structure holds', () => {
    const exit = run(KVM_EXIT_INTERNAL_ERROR, (view) => {
      view.setUint32(kvm_run['internal.suberror'], KVM_INTERNAL_ERROR_EMULATION, true);
      view.setUint32(kvm_run['internal.ndata'], 4000, true);
    });

    expect(decodeExit(...exit)).toEqual({
      kind: 'internal-error',
      suberror: KVM_INTERNAL_ERROR_EMULATION,
      name: 'KVM_INTERNAL_ERROR_EMULATION',
      data: Array(16).fill(0n),
    });
  });

  test('an instruction that could not be emulated is told where KVM has its bytes', () => {
    const emulationFailure = (flags: number, count: number): [DataView, Uint8Array] =>
      run(KVM_EXIT_INTERNAL_ERROR, (view, bytes) => {
        view.setUint32(kvm_run['internal.suberror'], KVM_INTERNAL_ERROR_EMULATION, true);
        view.setUint32(kvm_run['internal.ndata'], count, true);
        view.setBigUint64(kvm_run['emulation_failure.flags'], BigInt(flags), true);
        view.setUint8(kvm_run['emulation_failure.insn_size'], 200);
        bytes.set([0x0f, 0x01, 0xca], kvm_run['emulation_failure.insn_bytes']);
      });
    const flag = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;

    expect(decodeExit(...emulationFailure(flag, 3))).toHaveProperty(
      'instructionBytes',
      Uint8Array.of(0x0f, 0x01, 0xca, ...new Uint8Array(12)),
    );
    expect(decodeExit(...emulationFailure(0, 3))).not.toHaveProperty('instructionBytes');
    expect(decodeExit(...emulationFailure(flag, 1))).not.toHaveProperty('instructionBytes');
  });

  test('an internal error of a newer KVM has its number for a name', () => {
    const exit = run(KVM_EXIT_INTERNAL_ERROR, (view) => view.setUint32(kvm_run['internal.suberror'], 77, true));

    expect(decodeExit(...exit)).toHaveProperty('name', 'KVM_INTERNAL_ERROR_77');
  });

  test('a system event has its type', () => {
    const exit = run(KVM_EXIT_SYSTEM_EVENT, (view) =>
      view.setUint32(kvm_run['system_event.type'], KVM_SYSTEM_EVENT_RESET, true),
    );

    expect(decodeExit(...exit)).toEqual({
      kind: 'system-event',
      type: KVM_SYSTEM_EVENT_RESET,
      name: 'KVM_SYSTEM_EVENT_RESET',
    });
  });

  test('a failed entry has the reason of the hardware', () => {
    const exit = run(KVM_EXIT_FAIL_ENTRY, (view) => {
      view.setBigUint64(kvm_run['fail_entry.hardware_entry_failure_reason'], 0x8000_0021n, true);
      view.setUint32(kvm_run['fail_entry.cpu'], 3, true);
    });

    expect(decodeExit(...exit)).toEqual({ kind: 'fail-entry', hardwareReason: 0x8000_0021n, cpu: 3 });
  });

  test('any other reason is unsupported and has a name', () => {
    expect(decodeExit(...run(KVM_EXIT_DEBUG, () => {}))).toEqual({
      kind: 'unsupported',
      reason: KVM_EXIT_DEBUG,
      name: 'KVM_EXIT_DEBUG',
    });
    expect(exitReasonName(KVM_EXIT_DEBUG)).toBe('KVM_EXIT_DEBUG');
    expect(exitReasonName(99)).toBe('KVM_EXIT_99');
  });
});
