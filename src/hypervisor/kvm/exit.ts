// struct kvm_run after KVM_RUN, as a VmExit (Documentation/virt/kvm/api.rst, 5 "The kvm_run structure").
import type { VmExit } from '../ports.ts';
import * as abi from './abi.gen.ts';
import { kvm_run } from './abi.gen.ts';

const REASON_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(abi).flatMap(([name, value]) =>
    name.startsWith('KVM_EXIT_') && !name.startsWith('KVM_EXIT_IO_') && typeof value === 'number'
      ? [[value, name] as const]
      : [],
  ),
);

/** "KVM_EXIT_MMIO" for 6; "KVM_EXIT_99" for one that the headers did not know. */
export function exitReasonName(reason: number): string {
  return REASON_NAMES.get(reason) ?? `KVM_EXIT_${reason}`;
}

/** An access as wide as x86 has them. KVM_EXIT_IO comes with no other size. */
function portSize(size: number): 1 | 2 | 4 | undefined {
  return size === 1 || size === 2 || size === 4 ? size : undefined;
}

function decodeIo(run: DataView, bytes: Uint8Array): VmExit {
  const size = portSize(run.getUint8(kvm_run['io.size']));
  if (size === undefined) return { kind: 'unsupported', reason: abi.KVM_EXIT_IO };
  const port = run.getUint16(kvm_run['io.port'], true);
  const start = Number(run.getBigUint64(kvm_run['io.data_offset'], true));
  const data = bytes.subarray(start, start + size * run.getUint32(kvm_run['io.count'], true));
  const kind = run.getUint8(kvm_run['io.direction']) === abi.KVM_EXIT_IO_IN ? 'pio-read' : 'pio-write';
  return { kind, port, size, data };
}

function decodeMmio(run: DataView, bytes: Uint8Array): VmExit {
  const address = Number(run.getBigUint64(kvm_run['mmio.phys_addr'], true));
  const start = kvm_run['mmio.data'];
  const data = bytes.subarray(start, start + run.getUint32(kvm_run['mmio.len'], true));
  return { kind: run.getUint8(kvm_run['mmio.is_write']) === 0 ? 'mmio-read' : 'mmio-write', address, data };
}

function decodeInternalError(run: DataView): VmExit {
  const count = Math.min(run.getUint32(kvm_run['internal.ndata'], true), 16);
  const data = Array.from({ length: count }, (_, at) => run.getBigUint64(kvm_run['internal.data'] + 8 * at, true));
  return { kind: 'internal-error', suberror: run.getUint32(kvm_run['internal.suberror'], true), data };
}

/** Decodes the exit that KVM_RUN left. `data` of the result is a view of `bytes`, the mapping of kvm_run. */
export function decodeExit(run: DataView, bytes: Uint8Array): VmExit {
  const reason = run.getUint32(kvm_run.exit_reason, true);
  switch (reason) {
    case abi.KVM_EXIT_IO:
      return decodeIo(run, bytes);
    case abi.KVM_EXIT_MMIO:
      return decodeMmio(run, bytes);
    case abi.KVM_EXIT_HLT:
      return { kind: 'hlt' };
    case abi.KVM_EXIT_SHUTDOWN:
      return { kind: 'shutdown' };
    case abi.KVM_EXIT_SYSTEM_EVENT:
      return { kind: 'system-event', type: run.getUint32(kvm_run['system_event.type'], true) };
    case abi.KVM_EXIT_FAIL_ENTRY:
      return {
        kind: 'fail-entry',
        hardwareReason: run.getBigUint64(kvm_run['fail_entry.hardware_entry_failure_reason'], true),
      };
    case abi.KVM_EXIT_INTERNAL_ERROR:
      return decodeInternalError(run);
    default:
      return { kind: 'unsupported', reason };
  }
}
