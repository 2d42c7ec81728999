import { describe, expect, test } from 'vitest';
import type { CpuidEntry, VcpuState } from '../ports.ts';
import { withoutStructure, withStructure } from '../testing/snapshot.ts';
import {
  KVM_CAP_DEBUGREGS,
  KVM_CAP_GET_TSC_KHZ,
  KVM_CAP_SREGS2,
  KVM_CAP_TSC_CONTROL,
  KVM_CAP_XCRS,
  KVM_CAP_XSAVE2,
} from './abi.gen.ts';
import { KvmError } from './error.ts';
import { IA32_TSC, IA32_TSC_DEADLINE } from './msrs.ts';
import { decodeMsrs } from './registers.ts';
import { restoreVcpuState, saveVcpuState, type VcpuPort } from './vcpu-state.ts';

const ALL_CAPABILITIES: Readonly<Record<number, number>> = {
  [KVM_CAP_XSAVE2]: 8192,
  [KVM_CAP_SREGS2]: 1,
  [KVM_CAP_XCRS]: 1,
  [KVM_CAP_DEBUGREGS]: 1,
  [KVM_CAP_GET_TSC_KHZ]: 1,
};
const CPUID: readonly CpuidEntry[] = [
  { function: 0, index: 0, flags: 0, eax: 1, ebx: 0x756e6547, ecx: 0x6c65746e, edx: 0x49656e69 },
];

interface FakeOptions {
  readonly index?: number;
  readonly capabilities?: Readonly<Record<number, number>>;
  readonly tscKhz?: number;
  readonly hasLocalApic?: boolean;
  /** An ioctl that fails. */
  readonly failing?: string;
}

/** A vCPU that fills what is read with the length of the ioctl's name, and remembers what is called. */
class FakeVcpu implements VcpuPort {
  readonly index: number;
  readonly calls: string[] = [];
  readonly msrs: (readonly [index: number, value: bigint])[] = [];
  readonly hasLocalApic: boolean;
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.index = options.index ?? 0;
    this.hasLocalApic = options.hasLocalApic ?? true;
  }

  readonly capability = (number: number): number => (this.#options.capabilities ?? ALL_CAPABILITIES)[number] ?? 0;
  readonly cpuid = (): readonly CpuidEntry[] => CPUID;
  readonly msrIndices = (): readonly number[] => [IA32_TSC, 0x174, IA32_TSC_DEADLINE];
  readonly hostCpu = () => ({ supported: CPUID, hasTscDeadlineTimer: true });

  readonly call = (_request: number, name: string, argument: number | DataView): number => {
    this.calls.push(name);
    if (name === this.#options.failing) {
      const message = `${name} failed with EINVAL for vCPU ${this.index}`;
      throw new KvmError('CALL_FAILED', message, { ioctl: name, errno: 22 });
    }
    if (name === 'KVM_GET_TSC_KHZ') return this.#options.tscKhz ?? 2_000_000;
    if (!(argument instanceof DataView)) return 0;
    if (name === 'KVM_GET_MSRS') return decodeMsrs(argument).length;
    if (name === 'KVM_SET_MSRS') {
      const msrs = decodeMsrs(argument);
      this.msrs.push(...msrs.map(({ index, value }) => [index, value] as const));
      return msrs.length;
    }
    if (name.startsWith('KVM_GET_')) new Uint8Array(argument.buffer).fill(name.length);
    return 0;
  };
}

function saved(options: FakeOptions = {}): VcpuState {
  return saveVcpuState(new FakeVcpu(options));
}

function restore(state: VcpuState, options: FakeOptions = {}): FakeVcpu {
  const vcpu = new FakeVcpu(options);
  restoreVcpuState(vcpu, state);
  return vcpu;
}

describe('saving', () => {
  test('reads the run state first, deadlines before the local APIC, and events last', () => {
    const vcpu = new FakeVcpu();

    saveVcpuState(vcpu);

    const calls = [...new Set(vcpu.calls)];
    expect(calls).toEqual([
      'KVM_GET_TSC_KHZ',
      'KVM_GET_MP_STATE',
      'KVM_GET_MSRS',
      'KVM_GET_REGS',
      'KVM_GET_SREGS2',
      'KVM_GET_XSAVE2',
      'KVM_GET_XCRS',
      'KVM_GET_DEBUGREGS',
      'KVM_GET_LAPIC',
      'KVM_GET_VCPU_EVENTS',
    ]);
  });

  test('takes the older structures from a KVM without the newer', () => {
    const { structures, tscKhz } = saved({ capabilities: {}, hasLocalApic: false });

    expect(Object.keys(structures).sort()).toEqual([
      'KVM_GET_MP_STATE',
      'KVM_GET_MSRS',
      'KVM_GET_REGS',
      'KVM_GET_SREGS',
      'KVM_GET_VCPU_EVENTS',
      'KVM_GET_XSAVE',
      'KVM_SET_CPUID2',
    ]);
    expect(structures['KVM_GET_XSAVE']).toHaveLength(4096);
    expect(tscKhz).toBeUndefined();
  });

  test('does without the frequency of a counter that is not stable', () => {
    expect(saved({ failing: 'KVM_GET_TSC_KHZ' })).not.toHaveProperty('tscKhz');
  });
});

describe('restoring', () => {
  test('writes each structure behind those that it depends on', () => {
    const vcpu = restore(saved());

    expect([...new Set(vcpu.calls)].filter((name) => name !== 'KVM_GET_TSC_KHZ')).toEqual([
      'KVM_SET_CPUID2',
      'KVM_SET_SREGS2',
      'KVM_SET_REGS',
      'KVM_SET_XSAVE',
      'KVM_SET_XCRS',
      'KVM_SET_DEBUGREGS',
      'KVM_SET_LAPIC',
      'KVM_SET_MSRS',
      'KVM_SET_VCPU_EVENTS',
      'KVM_SET_MP_STATE',
    ]);
  });

  test('moves the counter of the first vCPU far away before it sets it, so that KVM does not take it for in step', () => {
    const first = restore(saved()).msrs;
    const second = restore(saved({ index: 1 }), { index: 1 }).msrs;

    expect(first.filter(([index]) => index === IA32_TSC).map(([, value]) => value)).toEqual([2n ** 40n, 0n]);
    expect(second.filter(([index]) => index === IA32_TSC).map(([, value]) => value)).toEqual([0n]);
    expect(first.at(-1)?.[0]).toBe(IA32_TSC_DEADLINE);
  });

  test('a state of SREGS fits a KVM that has SREGS2 too', () => {
    const { [KVM_CAP_SREGS2]: _, ...older } = ALL_CAPABILITIES;

    expect(restore(saved({ capabilities: older })).calls).toContain('KVM_SET_SREGS');
  });

  test('the counter is scaled where the processor can and the frequencies differ', () => {
    const scaling = { ...ALL_CAPABILITIES, [KVM_CAP_TSC_CONTROL]: 1 };

    expect(restore(saved(), { tscKhz: 3_000_000, capabilities: scaling }).calls).toContain('KVM_SET_TSC_KHZ');
    expect(restore(saved(), { tscKhz: 2_000_100, capabilities: scaling }).calls).not.toContain('KVM_SET_TSC_KHZ');
  });

  test('leaves the state as it is', () => {
    const state = saved();
    const copy = structuredClone(state);

    restore(state);

    expect(state).toEqual(copy);
  });
});

describe('a state is refused, before anything is written,', () => {
  const refusals: readonly [title: string, state: () => VcpuState, options: FakeOptions, code: string, text: string][] =
    [
      ['of another version', () => ({ ...saved(), version: 2 as 1 }), {}, 'STATE_INVALID', 'is of version 2'],
      ['that is none', () => null as unknown as VcpuState, {}, 'STATE_INVALID', 'saved vCPU 0 is null'],
      ['without structures', () => ({ version: 1, index: 0 }) as VcpuState, {}, 'STATE_INVALID', 'which is no state'],
      [
        'with a text for a rate',
        () => ({ ...saved(), tscKhz: 'x' as never }),
        {},
        'STATE_INVALID',
        'counts at "x" kHz',
      ],
      ['of another vCPU', () => saved(), { index: 1 }, 'STATE_INVALID', 'saved vCPU 0 cannot become vCPU 1'],
      [
        'with registers missing',
        () => withoutStructure(saved(), 'KVM_GET_REGS'),
        {},
        'STATE_INVALID',
        'lacks KVM_GET_REGS',
      ],
      [
        'without special registers',
        () => withoutStructure(saved(), 'KVM_GET_SREGS2'),
        {},
        'STATE_INVALID',
        'must have one of KVM_GET_SREGS and KVM_GET_SREGS2',
      ],
      [
        'with registers cut off',
        () => ({ ...saved(), structures: { ...saved().structures, KVM_GET_REGS: new Uint8Array(100) } }),
        {},
        'STATE_INVALID',
        'KVM_GET_REGS of saved vCPU 0 has 100 bytes instead of 144',
      ],
      [
        'with what is no bytes at all',
        () => ({ ...saved(), structures: { ...saved().structures, KVM_GET_REGS: 'text' as unknown as Uint8Array } }),
        {},
        'STATE_INVALID',
        'lacks KVM_GET_REGS',
      ],
      [
        'with a structure that is not known',
        () => ({ ...saved(), structures: { ...saved().structures, KVM_GET_FUTURE: new Uint8Array(8) } }),
        {},
        'STATE_INVALID',
        'does not know: KVM_GET_FUTURE',
      ],
      [
        'with a list of MSRs that is shorter than it says',
        () => withStructure(saved(), 'KVM_GET_MSRS', (view) => view.setUint32(0, 9999, true)),
        {},
        'STATE_INVALID',
        'KVM_GET_MSRS of saved vCPU 0 is not as long as it says',
      ],
      [
        'with an XSAVE area of another size',
        () => saved(),
        { capabilities: { ...ALL_CAPABILITIES, [KVM_CAP_XSAVE2]: 11008 } },
        'STATE_UNSUPPORTED',
        'KVM_GET_XSAVE2 of saved vCPU 0 has 8192 bytes, KVM_SET_XSAVE of this host takes 11008',
      ],
      [
        'with SREGS2 that this KVM does not have',
        () => saved(),
        { capabilities: { ...ALL_CAPABILITIES, [KVM_CAP_SREGS2]: 0 } },
        'STATE_UNSUPPORTED',
        'no KVM_SET_SREGS2 is there',
      ],
      [
        'with a local APIC where there is none',
        () => saved(),
        { hasLocalApic: false },
        'STATE_UNSUPPORTED',
        'the VM has no interrupt controllers',
      ],
      [
        'without a local APIC where there is one',
        () => saved({ hasLocalApic: false }),
        {},
        'STATE_INVALID',
        'saved vCPU 0 lacks KVM_GET_LAPIC',
      ],
      [
        'with CPUID features that this host lacks',
        () => withStructure(saved(), 'KVM_SET_CPUID2', (view) => view.setUint32(8 + 16, 0x6874_7541, true)),
        {},
        'STATE_UNSUPPORTED',
        'saved vCPU 0 needs what this host lacks: a processor of',
      ],
    ];

  test.each(refusals)('%s', (_title, state, options, code, text) => {
    const vcpu = new FakeVcpu(options);

    const attempt = (): unknown => restoreVcpuState(vcpu, state());

    expect(attempt).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }));
    expect(vcpu.calls).toEqual([]);
  });

  test.each(['KVM_SET_CPUID2', 'KVM_SET_SREGS2', 'KVM_SET_XSAVE', 'KVM_SET_LAPIC', 'KVM_SET_MSRS', 'KVM_SET_MP_STATE'])(
    'or when KVM refuses %s, by that name',
    (failing) => {
      expect(() => restore(saved(), { failing })).toThrow(
        `this host's KVM refuses ${failing} of saved vCPU 0: ${failing} failed with EINVAL`,
      );
    },
  );

  test('or when its counter counts at a rate that this processor has not', () => {
    expect(() => restore(saved(), { tscKhz: 3_000_000 })).toThrow(
      "saved vCPU 0 counts at 2000000 kHz, this host's at 3000000 kHz, and its processor cannot scale it",
    );
  });
});
