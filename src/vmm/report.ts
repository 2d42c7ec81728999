// What is to be known of a VM when it has ended, as a file and as a picture.
import { release } from 'node:os';
import type { VmMetrics } from './metrics.ts';
import type { VmSummary } from './operations.ts';
import { describeStop, type StopReason } from './stop-reason.ts';
import type { StartReport, TimelineMark } from './timeline.ts';

/** What `tsvm boot --report FILE` writes. */
export interface VmReport extends StartReport {
  /** Why the VM ended: `reason` for programs, `message` for a person. */
  readonly stopped: { readonly reason: StopReason['kind']; readonly message: string };
  readonly machine: VmSummary;
  /** From the first instruction of the guest to its end, milliseconds. */
  readonly uptimeMs: number;
  readonly devices: VmMetrics['devices'];
  readonly memory: VmMetrics['memory'];
}

export interface VmReportParts {
  readonly marks: readonly TimelineMark[];
  readonly machine: VmSummary;
  readonly metrics: VmMetrics;
  readonly reason: StopReason;
}

export function vmReport({ marks, machine, metrics, reason }: VmReportParts): VmReport {
  const { uptimeMs, exits, devices, memory } = metrics;
  const message = describeStop(reason);
  return {
    hostKernelRelease: release(),
    marks: marks.map(({ name, monotonicNs }) => ({ name, monotonicNs: String(monotonicNs) })),
    endReason: message,
    exits,
    stopped: { reason: reason.kind, message },
    machine,
    uptimeMs,
    devices,
    memory,
  };
}
