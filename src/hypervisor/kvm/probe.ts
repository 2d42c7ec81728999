// Whether this machine's /dev/kvm can run Linux: tiny guests try what a Linux kernel needs and software backends lack.
import { messageOf } from '../../lib/errors.ts';
import { describeExit } from '../describe.ts';
import type { CpuidEntry, VmExit } from '../ports.ts';
import { BARE_LAYOUT, BARE_SELECTORS, BareGuest, BareGuestTimeout } from './bare-guest.ts';
import { KvmError } from './error.ts';
import { KvmHypervisor, type KvmOptions } from './hypervisor.ts';
import { machineCode } from './machine-code.ts';

/** What one probe guest found. */
export interface ProbeResult {
  /** What was tried, in words. */
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** What happened instead, or why it was skipped; empty when it passed. */
  readonly what: string;
  readonly durationMs: number;
}

export interface KvmVerdict {
  readonly verdict: 'ok' | 'no-kvm' | 'no-permission' | 'cannot-run-linux';
  /** One sentence: what was found. */
  readonly reason: string;
  /** One sentence: what to do; empty when the verdict is ok. */
  readonly advice: string;
  readonly details: {
    readonly path: string;
    /** One per probe guest, in the order in which they ran; empty when none could. */
    readonly probes: readonly ProbeResult[];
    readonly hasReadonlyMemory?: boolean;
    readonly hasCoalescedMmio?: boolean;
    readonly durationMs: number;
  };
}

/**
 * Time for one guest. A working KVM needs about a millisecond; this is for one that hangs, and so long because a host that is
 * itself emulated is slow.
 */
const LIMIT_MS = 3000;

const RESULT_PORT = 0x80;
const PASSED = 0xa5;
/** mov al, PASSED; out RESULT_PORT, al; hlt */
const REPORT = 'b0 a5 e6 80 f4';

const EMULATED_HOST =
  'use a machine with hardware virtualisation, or run in the emulated host: `npm run host -- COMMAND`';

/** A feature as CPUID shows it: leaf, register, bit (Intel SDM 2A, CPUID). */
interface CpuidFeature {
  readonly name: string;
  readonly leaf: number;
  readonly register: 'ebx' | 'ecx';
  readonly bit: number;
}

interface Probe {
  readonly name: string;
  readonly mode: 'real' | 'long';
  readonly code: string;
  /** A guest does without the instruction when CPUID does not show its feature. */
  readonly needs?: CpuidFeature;
  readonly prepare?: (guest: BareGuest, cpuid: readonly CpuidEntry[]) => void;
  /** What it means when the guest halts without its report. */
  readonly otherwise?: string;
}

const HANDLER = BARE_LAYOUT.code + 0x400;
const USER_CODE = BARE_LAYOUT.code + 0x800;
const MSR_STAR = 0xc000_0081;
const MSR_LSTAR = 0xc000_0082;
const MSR_SYSCALL_MASK = 0xc000_0084;
const BREAKPOINT_VECTOR = 3;

/** Ring 0's way of `system calls`: the handler passes when it is called for the second time, after one return to ring 3. */
function prepareSystemCalls(guest: BareGuest): void {
  guest.memory.bytes.set(
    machineCode(`
      41 ff c7    ; inc r15d
      41 83 ff 02 ; cmp r15d, 2
      74 03       ; je to the report
      48 0f 07    ; sysretq
      ${REPORT}`),
    HANDLER,
  );
  guest.memory.bytes.set(
    machineCode(`
      0f 05 ; syscall
      0f 05 ; syscall
      0f 0b ; ud2`),
    USER_CODE,
  );
  const star = (BigInt(BARE_SELECTORS.userBase) << 48n) | (BigInt(BARE_SELECTORS.kernelCode) << 32n);
  guest.vcpu.setMsrs([
    { index: MSR_STAR, value: star },
    { index: MSR_LSTAR, value: BigInt(HANDLER) },
    { index: MSR_SYSCALL_MASK, value: 0n },
  ]);
}

/** Instruction sets in ECX of CPUID leaf 1; the bits that change at run time (OSXSAVE, MONITOR, hypervisor) are left out. */
const LEAF_1_ECX_SETS = 0x76d8_3203;

function leaf1Ecx(cpuid: readonly CpuidEntry[]): number {
  return cpuid.find((entry) => entry.function === 1)?.ecx ?? 0;
}

const PROBES: readonly Probe[] = [
  { name: 'port output in real mode', mode: 'real', code: REPORT },
  { name: 'port output in 64-bit mode', mode: 'long', code: REPORT },
  {
    name: 'CPUID as it was set',
    mode: 'long',
    code: `b8 01 00 00 00       ; mov eax, 1
           31 c9                ; xor ecx, ecx
           0f a2                ; cpuid
           81 e1 03 32 d8 76    ; and ecx, LEAF_1_ECX_SETS
           3b 0c 25 00 00 02 00 ; cmp ecx, [0x20000]
           75 05                ; jne to the last hlt
           ${REPORT}
           f4                   ; hlt`,
    prepare(guest, cpuid) {
      const view = new DataView(guest.memory.bytes.buffer, guest.memory.bytes.byteOffset);
      view.setUint32(BARE_LAYOUT.data, leaf1Ecx(cpuid) & LEAF_1_ECX_SETS, true);
    },
    otherwise: 'the guest sees instruction sets of the processor that KVM does not offer it',
  },
  {
    name: 'POPCNT in ring 0',
    mode: 'long',
    needs: { name: 'popcnt', leaf: 1, register: 'ecx', bit: 23 },
    code: `f3 48 0f b8 c3 ; popcnt rax, rbx
           ${REPORT}`,
  },
  {
    name: 'STAC and CLAC',
    mode: 'long',
    needs: { name: 'smap', leaf: 7, register: 'ebx', bit: 20 },
    code: `0f 01 cb ; stac
           0f 01 ca ; clac
           ${REPORT}`,
  },
  {
    name: 'XSAVE and XRSTOR in ring 0',
    mode: 'long',
    needs: { name: 'xsave', leaf: 1, register: 'ecx', bit: 26 },
    code: `0f 20 e0          ; mov rax, cr4
           0d 00 00 04 00    ; or eax, 1 << 18: CR4.OSXSAVE
           0f 22 e0          ; mov cr4, rax
           31 c9             ; xor ecx, ecx: XCR0
           31 d2             ; xor edx, edx
           b8 03 00 00 00    ; mov eax, 3: x87 and SSE state
           0f 01 d1          ; xsetbv
           bf 00 00 02 00    ; mov edi, 0x20000
           0f ae 27          ; xsave [rdi]
           0f ae 2f          ; xrstor [rdi]
           ${REPORT}`,
  },
  {
    name: 'INT3 through the interrupt table',
    mode: 'long',
    code: `cc    ; int3
           0f 0b ; ud2`,
    prepare(guest) {
      guest.memory.bytes.set(machineCode(REPORT), HANDLER);
      guest.setInterruptHandler(BREAKPOINT_VECTOR, HANDLER);
    },
  },
  {
    name: 'SYSCALL from ring 3 and back',
    mode: 'long',
    code: `6a 23                ; push 0x23: SS, data of ring 3
           68 00 00 02 00       ; push 0x20000: RSP
           6a 02                ; push 2: RFLAGS
           6a 2b                ; push 0x2b: CS, 64-bit code of ring 3
           68 00 08 01 00       ; push 0x10800: RIP
           48 cf                ; iretq`,
    prepare: prepareSystemCalls,
  },
];

function offers(cpuid: readonly CpuidEntry[], { leaf, register, bit }: CpuidFeature): boolean {
  const entry = cpuid.find((candidate) => candidate.function === leaf && candidate.index === 0);
  return entry !== undefined && ((entry[register] >>> bit) & 1) === 1;
}

function hasPassed(exit: VmExit): boolean {
  return exit.kind === 'pio-write' && exit.port === RESULT_PORT && exit.data[0] === PASSED;
}

/** What the probes of one KVM share. */
interface ProbeContext {
  readonly hypervisor: KvmHypervisor;
  readonly cpuid: readonly CpuidEntry[];
}

async function runProbe({ hypervisor, cpuid }: ProbeContext, probe: Probe): Promise<string> {
  using guest = new BareGuest(hypervisor, { mode: probe.mode, code: machineCode(probe.code) });
  probe.prepare?.(guest, cpuid);
  let passed = false;
  const last = await guest.run((exit) => {
    passed = hasPassed(exit);
    return false;
  }, LIMIT_MS);
  if (passed) return '';
  return last.kind === 'hlt' && probe.otherwise !== undefined ? probe.otherwise : describeExit(last);
}

async function tryProbe(context: ProbeContext, probe: Probe): Promise<ProbeResult> {
  const { name, needs } = probe;
  if (needs !== undefined && !offers(context.cpuid, needs))
    return { name, outcome: 'skipped', what: `CPUID does not offer ${needs.name}`, durationMs: 0 };
  const startMs = performance.now();
  const what = await runProbe(context, probe).catch((error: unknown) => {
    if (error instanceof KvmError || error instanceof BareGuestTimeout) return messageOf(error);
    throw error;
  });
  return { name, outcome: what === '' ? 'passed' : 'failed', what, durationMs: performance.now() - startMs };
}

/** Runs the probes one after the other; once a guest hangs, those behind it would most likely hang too. */
async function runProbes(hypervisor: KvmHypervisor): Promise<ProbeResult[]> {
  const context = { hypervisor, cpuid: hypervisor.supportedCpuid() };
  const results: ProbeResult[] = [];
  for (const probe of PROBES) {
    const hung = results.some(({ durationMs }) => durationMs >= LIMIT_MS);
    results.push(
      hung
        ? { name: probe.name, outcome: 'skipped', what: 'a guest before it hung', durationMs: 0 }
        : await tryProbe(context, probe),
    );
  }
  return results;
}

/** The verdict when /dev/kvm cannot even be opened. */
function unusable(error: KvmError, path: string, durationMs: number): KvmVerdict {
  const details = { path, probes: [], durationMs };
  switch (error.code) {
    case 'NO_PERMISSION': {
      const advice = 'run as root, or join the group that owns it and log in again: `sudo usermod -aG kvm $USER`';
      return { verdict: 'no-permission', reason: `${path} is there, but may not be opened`, advice, details };
    }
    case 'NO_KVM':
      return { verdict: 'no-kvm', reason: error.message, advice: EMULATED_HOST, details };
    default:
      return { verdict: 'cannot-run-linux', reason: error.message, advice: EMULATED_HOST, details };
  }
}

/**
 * Tells whether this machine's KVM can run Linux by running guests of a few instructions: a tenth of a second, unless a guest
 * hangs or the machine itself is emulated.
 * @throws only what is not KVM's fault, such as a missing libtskata.so
 */
export async function probeKvm(options: KvmOptions = {}): Promise<KvmVerdict> {
  const { path = '/dev/kvm' } = options;
  const startMs = performance.now();
  const elapsed = (): number => performance.now() - startMs;
  const opened = openOrVerdict(options, path, elapsed);
  if ('verdict' in opened) return opened;
  using hypervisor = opened;
  const probes = await runProbes(hypervisor);
  const { hasReadonlyMemory, hasCoalescedMmio } = hypervisor;
  const details = { path, probes, hasReadonlyMemory, hasCoalescedMmio, durationMs: elapsed() };
  const failed = probes.filter(({ outcome }) => outcome === 'failed');
  if (failed.length === 0) return { verdict: 'ok', reason: `${path} runs what Linux needs`, advice: '', details };
  const reason = `${path} is there, but lacks what Linux needs: ${failed.map(({ name }) => name).join(', ')}`;
  return { verdict: 'cannot-run-linux', reason, advice: EMULATED_HOST, details };
}

function openOrVerdict(options: KvmOptions, path: string, elapsed: () => number): KvmHypervisor | KvmVerdict {
  try {
    return KvmHypervisor.open(options);
  } catch (error) {
    if (error instanceof KvmError) return unusable(error, path, elapsed());
    throw error;
  }
}
