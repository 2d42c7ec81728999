// tsvm check: can this machine's KVM run Linux?
import { type KvmVerdict, type ProbeResult, probeKvm } from '../hypervisor/kvm/probe.ts';

export interface CheckOptions {
  /** Print the verdict as one JSON object. */
  readonly json?: boolean;
  /** The KVM device. @default /dev/kvm */
  readonly device?: string;
}

const HEADLINES: Readonly<Record<KvmVerdict['verdict'], string>> = {
  ok: 'ok: this machine can run virtual machines',
  'no-kvm': 'no KVM: this machine has no virtualisation to offer',
  'no-permission': 'no permission: KVM is there, but not for this user',
  'cannot-run-linux': 'cannot run Linux: KVM is there, but falls short',
};

function probeLine({ name, outcome, what, durationMs }: ProbeResult): string {
  const explanation = what === '' ? '' : `: ${what}`;
  const duration = outcome === 'skipped' ? '' : ` (${durationMs.toFixed(1)} ms)`;
  return `  ${outcome.padEnd(7)}  ${name}${explanation}${duration}`;
}

/** The verdict for a person, in lines. */
export function formatVerdict({ verdict, reason, advice, details }: KvmVerdict): string {
  const yesNo = (value: boolean | undefined): string => (value === true ? 'yes' : 'no');
  const features =
    details.hasReadonlyMemory === undefined
      ? []
      : [
          `  read-only memory slots: ${yesNo(details.hasReadonlyMemory)}, ` +
            `collected MMIO writes: ${yesNo(details.hasCoalescedMmio)}`,
        ];
  const advised = advice === '' ? [] : [`What to do: ${advice}.`];
  return `${[HEADLINES[verdict], `${reason}.`, ...details.probes.map(probeLine), ...features, ...advised].join('\n')}\n`;
}

/**
 * Probes KVM and prints the verdict on stdout.
 * @returns the exit status: 0 when KVM can run Linux, else 1
 */
export async function check({ json = false, device }: CheckOptions = {}): Promise<number> {
  const verdict = await probeKvm(device === undefined ? {} : { path: device });
  process.stdout.write(json ? `${JSON.stringify(verdict, undefined, 2)}\n` : formatVerdict(verdict));
  return verdict.verdict === 'ok' ? 0 : 1;
}
