// Everything a vCPU is made of, read from one and written to another.
import { shownValue } from '../../lib/errors.ts';
import type { CpuidEntry, KernelStructures, VcpuState } from '../ports.ts';
import {
  KVM_CAP_DEBUGREGS,
  KVM_CAP_GET_TSC_KHZ,
  KVM_CAP_SREGS2,
  KVM_CAP_TSC_CONTROL,
  KVM_CAP_XCRS,
  KVM_CAP_XSAVE2,
  KVM_GET_DEBUGREGS,
  KVM_GET_LAPIC,
  KVM_GET_MP_STATE,
  KVM_GET_MSRS,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_GET_SREGS2,
  KVM_GET_TSC_KHZ,
  KVM_GET_VCPU_EVENTS,
  KVM_GET_XCRS,
  KVM_GET_XSAVE,
  KVM_GET_XSAVE2,
  KVM_SET_CPUID2,
  KVM_SET_DEBUGREGS,
  KVM_SET_LAPIC,
  KVM_SET_MP_STATE,
  KVM_SET_MSRS,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_SREGS2,
  KVM_SET_TSC_KHZ,
  KVM_SET_VCPU_EVENTS,
  KVM_SET_XCRS,
  KVM_SET_XSAVE,
  kvm_cpuid_entry2,
  kvm_cpuid2,
  kvm_debugregs,
  kvm_lapic_state,
  kvm_mp_state,
  kvm_msr_entry,
  kvm_msrs,
  kvm_regs,
  kvm_sregs,
  kvm_sregs2,
  kvm_vcpu_events,
  kvm_xcrs,
  kvm_xsave,
} from './abi.gen.ts';
import { structure } from './call.ts';
import { type HostCpu, missingFeatures } from './cpuid-features.ts';
import { KvmError } from './error.ts';
import { IA32_TSC, msrsToSave, readMsrs, writeMsrs } from './msrs.ts';
import { decodeCpuid, decodeMsrs, encodeCpuid, encodeMsrs, type Msr } from './registers.ts';
import { bytesOf, checkState, refusing } from './saved-state.ts';

/** The vCPU whose state it is, and the KVM that it belongs to. */
export interface VcpuPort {
  readonly index: number;
  /** An ioctl of the vCPU. @throws KvmError CALL_FAILED */
  readonly call: (request: number, name: string, argument: number | DataView) => number;
  /** KVM_CHECK_EXTENSION */
  readonly capability: (number: number) => number;
  /** Whether the VM has its interrupt controllers in the kernel, and so the vCPU a local APIC. */
  readonly hasLocalApic: boolean;
  /** What KVM_SET_CPUID2 was given. KVM_GET_CPUID2 is not asked: a nested KVM was seen to answer with the host's own. */
  readonly cpuid: () => readonly CpuidEntry[];
  /** KVM_GET_MSR_INDEX_LIST */
  readonly msrIndices: () => readonly number[];
  readonly hostCpu: () => HostCpu;
}

/** A structure that is read by one ioctl and written by another. */
interface Structure {
  readonly get: number;
  readonly set: number;
  readonly setName: string;
  readonly size: (port: VcpuPort) => number;
  /** Whether this host's KVM has it, for such a vCPU. */
  readonly isThere: (port: VcpuPort) => boolean;
}

const always = (): boolean => true;
const hasSregs2 = ({ capability }: VcpuPort): boolean => capability(KVM_CAP_SREGS2) !== 0;
const xsaveSize = ({ capability }: VcpuPort): number => Math.max(capability(KVM_CAP_XSAVE2), kvm_xsave.sizeof);
const hasLargeXsave = (port: VcpuPort): boolean => xsaveSize(port) > kvm_xsave.sizeof;

const STRUCTURES = {
  KVM_GET_MP_STATE: {
    get: KVM_GET_MP_STATE,
    set: KVM_SET_MP_STATE,
    setName: 'KVM_SET_MP_STATE',
    size: () => kvm_mp_state.sizeof,
    isThere: always,
  },
  KVM_GET_REGS: {
    get: KVM_GET_REGS,
    set: KVM_SET_REGS,
    setName: 'KVM_SET_REGS',
    size: () => kvm_regs.sizeof,
    isThere: always,
  },
  KVM_GET_SREGS: {
    get: KVM_GET_SREGS,
    set: KVM_SET_SREGS,
    setName: 'KVM_SET_SREGS',
    size: () => kvm_sregs.sizeof,
    isThere: (port) => !hasSregs2(port),
  },
  /** Has the page-directory pointers of PAE paging too. Its lack of an interrupt bitmap is made up by the vCPU's events. */
  KVM_GET_SREGS2: {
    get: KVM_GET_SREGS2,
    set: KVM_SET_SREGS2,
    setName: 'KVM_SET_SREGS2',
    size: () => kvm_sregs2.sizeof,
    isThere: hasSregs2,
  },
  KVM_GET_XSAVE: {
    get: KVM_GET_XSAVE,
    set: KVM_SET_XSAVE,
    setName: 'KVM_SET_XSAVE',
    size: () => kvm_xsave.sizeof,
    isThere: (port) => !hasLargeXsave(port),
  },
  KVM_GET_XSAVE2: {
    get: KVM_GET_XSAVE2,
    set: KVM_SET_XSAVE,
    setName: 'KVM_SET_XSAVE',
    size: xsaveSize,
    isThere: hasLargeXsave,
  },
  KVM_GET_XCRS: {
    get: KVM_GET_XCRS,
    set: KVM_SET_XCRS,
    setName: 'KVM_SET_XCRS',
    size: () => kvm_xcrs.sizeof,
    isThere: ({ capability }) => capability(KVM_CAP_XCRS) !== 0,
  },
  KVM_GET_DEBUGREGS: {
    get: KVM_GET_DEBUGREGS,
    set: KVM_SET_DEBUGREGS,
    setName: 'KVM_SET_DEBUGREGS',
    size: () => kvm_debugregs.sizeof,
    isThere: ({ capability }) => capability(KVM_CAP_DEBUGREGS) !== 0,
  },
  KVM_GET_LAPIC: {
    get: KVM_GET_LAPIC,
    set: KVM_SET_LAPIC,
    setName: 'KVM_SET_LAPIC',
    size: () => kvm_lapic_state.sizeof,
    isThere: ({ hasLocalApic }) => hasLocalApic,
  },
  KVM_GET_VCPU_EVENTS: {
    get: KVM_GET_VCPU_EVENTS,
    set: KVM_SET_VCPU_EVENTS,
    setName: 'KVM_SET_VCPU_EVENTS',
    size: () => kvm_vcpu_events.sizeof,
    isThere: always,
  },
} as const satisfies Record<string, Structure>;
type StructureName = keyof typeof STRUCTURES;

/** Leaves and registers are lists: their sizes are checked when they are decoded. */
const LISTS = ['KVM_SET_CPUID2', 'KVM_GET_MSRS'] as const;

/**
 * What differs by less is the same clock, which was measured twice: KVM itself scales no counter for less
 * (tsc_tolerance_ppm of Linux's arch/x86/kvm/x86.c).
 */
const TSC_TOLERANCE_PPM = 250;
/** KVM takes an unsigned int, and keeps an int. */
const TSC_KHZ_MAX = 2 ** 31 - 1;
/** More cycles than pass in a second. */
const TSC_FAR_AWAY = 1n << 40n;

/** "saved vCPU 2" */
function subjectOf(index: number): string {
  return `saved vCPU ${index}`;
}

/**
 * Reads a vCPU that is at rest.
 * @throws KvmError CALL_FAILED
 */
export function saveVcpuState(port: VcpuPort): VcpuState {
  const structures: Record<string, Uint8Array> = {};
  const read = (name: StructureName): void => {
    const { get, size, isThere } = STRUCTURES[name];
    if (!isThere(port)) return;
    const view = structure(size(port));
    port.call(get, name, view);
    structures[name] = new Uint8Array(view.buffer);
  };
  const tscKhz = readTscKhz(port);
  structures['KVM_SET_CPUID2'] = new Uint8Array(encodeCpuid(port.cpuid()).buffer);
  // First: it carries out INIT and start-up interrupts that wait, which changes registers and local APIC.
  read('KVM_GET_MP_STATE');
  // A timer may fire between two reads, into the local APIC. With its deadline read before, the interrupt is then in one of
  // the two or in both, and never lost.
  structures['KVM_GET_MSRS'] = readAllMsrs(port);
  read('KVM_GET_REGS');
  read('KVM_GET_SREGS');
  read('KVM_GET_SREGS2');
  read('KVM_GET_XSAVE');
  read('KVM_GET_XSAVE2');
  read('KVM_GET_XCRS');
  read('KVM_GET_DEBUGREGS');
  read('KVM_GET_LAPIC');
  // Last: what the other reads did to exceptions and interrupts that wait is in it.
  read('KVM_GET_VCPU_EVENTS');
  return { version: 1, index: port.index, ...(tscKhz === undefined ? {} : { tscKhz }), structures };
}

/**
 * Writes a saved state to a vCPU that has not run.
 * The order is that of Firecracker and QEMU, for the reasons that the lines give.
 * @returns the CPUID that the vCPU now has
 * @throws KvmError STATE_INVALID, STATE_UNSUPPORTED
 */
export function restoreVcpuState(port: VcpuPort, state: VcpuState): CpuidEntry[] {
  const { cpuid, msrs } = checkVcpuState(port, state);
  const { structures } = state;
  const write = (name: StructureName): void => {
    const bytes = structures[name];
    if (bytes === undefined) return;
    const { set, setName } = STRUCTURES[name];
    refusing(subjectOf(state.index), setName, () => port.call(set, setName, viewOf(bytes)));
  };
  // First: it decides which registers and bits of registers there are.
  refusing(subjectOf(state.index), 'KVM_SET_CPUID2', () =>
    port.call(KVM_SET_CPUID2, 'KVM_SET_CPUID2', encodeCpuid(cpuid)),
  );
  // Before the counter itself, which counts at this rate.
  writeTscKhz(port, state);
  write('KVM_GET_SREGS');
  write('KVM_GET_SREGS2');
  write('KVM_GET_REGS');
  write('KVM_GET_XSAVE');
  write('KVM_GET_XSAVE2');
  write('KVM_GET_XCRS');
  write('KVM_GET_DEBUGREGS');
  // After the special registers, which have the base and the mode of the local APIC.
  write('KVM_GET_LAPIC');
  // After the local APIC: a deadline is dropped, and no error told, while its timer is in another mode.
  writeAllMsrs(port, state, msrs);
  // After the general registers: writing those clears an exception that waits.
  write('KVM_GET_VCPU_EVENTS');
  // Last, so that nothing wakes a vCPU again that is halted or waits to be started.
  write('KVM_GET_MP_STATE');
  return cpuid;
}

function viewOf(bytes: Uint8Array): DataView {
  // A copy: ioctls may write, and the state is the caller's.
  return new DataView(Uint8Array.from(bytes).buffer);
}

/** @throws KvmError STATE_INVALID, STATE_UNSUPPORTED: before anything is written */
function checkVcpuState(port: VcpuPort, state: VcpuState): { cpuid: CpuidEntry[]; msrs: Msr[] } {
  const subject = subjectOf(port.index);
  checkState(state, subject, [...Object.keys(STRUCTURES), ...LISTS]);
  const { index, tscKhz } = state;
  if (index !== port.index) {
    const message = `saved vCPU ${shownValue(index)} cannot become vCPU ${port.index}`;
    throw new KvmError('STATE_INVALID', message, { vcpu: port.index });
  }
  if (tscKhz !== undefined && !(Number.isInteger(tscKhz) && tscKhz > 0 && tscKhz <= TSC_KHZ_MAX))
    throw new KvmError('STATE_INVALID', `the time stamp counter of ${subject} counts at ${shownValue(tscKhz)} kHz`);
  for (const name of Object.keys(STRUCTURES) as StructureName[]) checkStructure(port, state.structures, name, subject);
  for (const names of [
    ['KVM_GET_SREGS', 'KVM_GET_SREGS2'],
    ['KVM_GET_XSAVE', 'KVM_GET_XSAVE2'],
  ]) {
    if (names.filter((name) => state.structures[name] !== undefined).length !== 1)
      throw new KvmError('STATE_INVALID', `${subject} must have one of ${names.join(' and ')}`);
  }
  const cpuid = decodeCpuid(list(state.structures, 'KVM_SET_CPUID2', subject));
  const missing = missingFeatures(cpuid, port.hostCpu());
  if (missing.length > 0) {
    const message = `${subject} needs what this host lacks: ${missing.join(', ')}`;
    throw new KvmError('STATE_UNSUPPORTED', message, { structure: 'KVM_SET_CPUID2' });
  }
  return { cpuid, msrs: decodeMsrs(list(state.structures, 'KVM_GET_MSRS', subject)) };
}

/** Present where it must be, of the right size, and known to this host's KVM. */
function checkStructure(port: VcpuPort, structures: KernelStructures, name: StructureName, subject: string): void {
  const { size, isThere, setName }: Structure = STRUCTURES[name];
  if (structures[name] === undefined) {
    // Of SREGS and XSAVE either form will do; extended control and debug registers an older KVM does not have.
    const isNeeded = ['KVM_GET_MP_STATE', 'KVM_GET_REGS', 'KVM_GET_VCPU_EVENTS', 'KVM_GET_LAPIC'].includes(name);
    if (isNeeded && isThere(port)) bytesOf(structures, name, subject);
    return;
  }
  const bytes = bytesOf(structures, name, subject);
  if (name === 'KVM_GET_XSAVE' || name === 'KVM_GET_XSAVE2') {
    const expected = xsaveSize(port);
    if (bytes.length === expected) return;
    const message = `${name} of ${subject} has ${bytes.length} bytes, KVM_SET_XSAVE of this host takes ${expected}: its processor has other state components`;
    throw new KvmError('STATE_UNSUPPORTED', message, { structure: name, size: bytes.length, expected });
  }
  const canBeSet = name === 'KVM_GET_SREGS' || isThere(port);
  if (!canBeSet) {
    const reason =
      name === 'KVM_GET_LAPIC' ? 'the VM has no interrupt controllers' : "this host's KVM does not have it";
    throw new KvmError('STATE_UNSUPPORTED', `${subject} has ${name}, but no ${setName} is there: ${reason}`, {
      structure: name,
    });
  }
  bytesOf(structures, name, subject, size(port));
}

/** struct kvm_cpuid2 or struct kvm_msrs, with as many entries as it says. */
function list(structures: KernelStructures, name: (typeof LISTS)[number], subject: string): DataView {
  const bytes = bytesOf(structures, name, subject);
  const view = viewOf(bytes);
  const { count, entries, size } =
    name === 'KVM_SET_CPUID2'
      ? { count: kvm_cpuid2.nent, entries: kvm_cpuid2.entries, size: kvm_cpuid_entry2.sizeof }
      : { count: kvm_msrs.nmsrs, entries: kvm_msrs.entries, size: kvm_msr_entry.sizeof };
  if (bytes.length < entries || bytes.length !== entries + view.getUint32(count, true) * size)
    throw new KvmError('STATE_INVALID', `${name} of ${subject} is not as long as it says`, { structure: name });
  return view;
}

function readAllMsrs(port: VcpuPort): Uint8Array {
  const msrs = readMsrs(msrsToSave(port.msrIndices()), (batch) => {
    const view = encodeMsrs(batch);
    return decodeMsrs(view, port.call(KVM_GET_MSRS, 'KVM_GET_MSRS', view));
  });
  return new Uint8Array(encodeMsrs(msrs).buffer);
}

function writeAllMsrs(port: VcpuPort, state: VcpuState, msrs: readonly Msr[]): void {
  const subject = subjectOf(state.index);
  const set = (batch: readonly Msr[]): number =>
    refusing(subject, 'KVM_SET_MSRS', () => port.call(KVM_SET_MSRS, 'KVM_SET_MSRS', encodeMsrs(batch)));
  const refused = writeMsrs([...tscApart(port, msrs), ...msrs], set);
  if (refused === undefined) return;
  const index = `0x${refused.index.toString(16)}`;
  const message = `this host's KVM refuses MSR ${index} of ${subject}, value 0x${refused.value.toString(16)}`;
  throw new KvmError('STATE_UNSUPPORTED', message, { structure: 'KVM_GET_MSRS', ioctl: 'KVM_SET_MSRS', msr: index });
}

/**
 * KVM takes a counter that is written within a second of what another vCPU's must be now for an attempt to synchronise them,
 * and makes them equal. That keeps the vCPUs of a restored VM in step. But before Linux 6.7 a new VM's own counter, which
 * starts at 0, counts as another one: a guest that had run for less than a second would be set back. So the first vCPU's is
 * written far away before it is written right.
 */
function tscApart({ index }: VcpuPort, msrs: readonly Msr[]): Msr[] {
  if (index !== 0) return [];
  return msrs
    .filter((msr) => msr.index === IA32_TSC)
    .map((msr) => ({ ...msr, value: BigInt.asUintN(64, msr.value + TSC_FAR_AWAY) }));
}

/** @returns undefined where KVM does not tell: it has no such ioctl, or the host's counter is not stable */
function readTscKhz(port: VcpuPort): number | undefined {
  if (port.capability(KVM_CAP_GET_TSC_KHZ) === 0) return undefined;
  try {
    return port.call(KVM_GET_TSC_KHZ, 'KVM_GET_TSC_KHZ', 0);
  } catch (error) {
    if (error instanceof KvmError && error.code === 'CALL_FAILED') return undefined;
    throw error;
  }
}

function writeTscKhz(port: VcpuPort, { index, tscKhz }: VcpuState): void {
  const hostKhz = readTscKhz(port);
  if (tscKhz === undefined || hostKhz === undefined) return;
  if (Math.abs(tscKhz - hostKhz) <= (hostKhz * TSC_TOLERANCE_PPM) / 1e6) return;
  if (port.capability(KVM_CAP_TSC_CONTROL) === 0) {
    const message = `the time stamp counter of ${subjectOf(index)} counts at ${tscKhz} kHz, this host's at ${hostKhz} kHz, and its processor cannot scale it`;
    throw new KvmError('STATE_UNSUPPORTED', message, { structure: 'KVM_GET_TSC_KHZ', tscKhz, hostKhz });
  }
  refusing(subjectOf(index), 'KVM_SET_TSC_KHZ', () => port.call(KVM_SET_TSC_KHZ, 'KVM_SET_TSC_KHZ', tscKhz));
}
