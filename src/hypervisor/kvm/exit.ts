// struct kvm_run after KVM_RUN, as a VmExit (Documentation/virt/kvm/api.rst, 5 "The kvm_run structure").
import type { VmExit } from '../ports.ts';
import * as abi from './abi.gen.ts';
import { kvm_run } from './abi.gen.ts';

/** Names of the numbers that start with a prefix, and with none of `others`, in linux/kvm.h; collected when one is asked for. */
function namesOf(prefix: string, others: readonly string[]): (number: number) => string | undefined {
  let names: ReadonlyMap<number, string> | undefined;
  return (number) => {
    names ??= new Map(
      Object.entries(abi).flatMap(([name, value]) =>
        name.startsWith(prefix) && !others.some((other) => name.startsWith(other)) && typeof value === 'number'
          ? [[value, name] as const]
          : [],
      ),
    );
    return names.get(number);
  };
}

const reasonName = namesOf('KVM_EXIT_', ['KVM_EXIT_IO_']);
const internalErrorName = namesOf('KVM_INTERNAL_ERROR_', ['KVM_INTERNAL_ERROR_EMULATION_FLAG_']);
const systemEventName = namesOf('KVM_SYSTEM_EVENT_', []);

/** "KVM_EXIT_MMIO" for 6; "KVM_EXIT_99" for one that the headers did not know. */
export function exitReasonName(reason: number): string {
  return reasonName(reason) ?? `KVM_EXIT_${reason}`;
}

/** An access as wide as x86 has them. KVM_EXIT_IO comes with no other size. */
function portSize(size: number): 1 | 2 | 4 | undefined {
  return size === 1 || size === 2 || size === 4 ? size : undefined;
}

function unsupported(reason: number): VmExit {
  return { kind: 'unsupported', reason, name: exitReasonName(reason) };
}

function decodeIo(run: DataView, bytes: Uint8Array): VmExit {
  const size = portSize(run.getUint8(kvm_run['io.size']));
  if (size === undefined) return unsupported(abi.KVM_EXIT_IO);
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

/** Most u64 of `internal.data`. */
const MAX_ERROR_DATA = 16;
/** Longest instruction of x86, bytes. */
const MAX_INSTRUCTION = 15;
/** u64 of `internal.data` that `emulation_failure` takes with its flags, size and bytes of the instruction. */
const INSTRUCTION_DATA = 3;

function decodeInternalError(run: DataView, bytes: Uint8Array): VmExit {
  const count = Math.min(run.getUint32(kvm_run['internal.ndata'], true), MAX_ERROR_DATA);
  const data = Array.from({ length: count }, (_, at) => run.getBigUint64(kvm_run['internal.data'] + 8 * at, true));
  const suberror = run.getUint32(kvm_run['internal.suberror'], true);
  const name = internalErrorName(suberror) ?? `KVM_INTERNAL_ERROR_${suberror}`;
  const error = { kind: 'internal-error', suberror, name, data } as const;
  if (suberror !== abi.KVM_INTERNAL_ERROR_EMULATION || count < INSTRUCTION_DATA) return error;
  const flags = run.getBigUint64(kvm_run['emulation_failure.flags'], true);
  if ((flags & BigInt(abi.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) === 0n) return error;
  const size = Math.min(run.getUint8(kvm_run['emulation_failure.insn_size']), MAX_INSTRUCTION);
  const start = kvm_run['emulation_failure.insn_bytes'];
  return { ...error, instructionBytes: bytes.slice(start, start + size) };
}

function decodeSystemEvent(run: DataView): VmExit {
  const type = run.getUint32(kvm_run['system_event.type'], true);
  return { kind: 'system-event', type, name: systemEventName(type) ?? `KVM_SYSTEM_EVENT_${type}` };
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
      return decodeSystemEvent(run);
    case abi.KVM_EXIT_FAIL_ENTRY:
      return {
        kind: 'fail-entry',
        hardwareReason: run.getBigUint64(kvm_run['fail_entry.hardware_entry_failure_reason'], true),
        cpu: run.getUint32(kvm_run['fail_entry.cpu'], true),
      };
    case abi.KVM_EXIT_INTERNAL_ERROR:
      return decodeInternalError(run, bytes);
    default:
      return unsupported(reason);
  }
}
