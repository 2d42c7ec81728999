// `--report FILE`: what is known of a VM at its end.
import { writeFileSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import { vmReport } from '../vmm/report.ts';
import { reportSvg } from '../vmm/report-svg.ts';
import type { StopReason } from '../vmm/stop-reason.ts';
import type { Vm } from '../vmm/vm.ts';

/**
 * Writes the report, and its picture beside it.
 * @returns whether it could be written; if not, the user was told why
 */
export function writeReport(path: string, vm: Vm, reason: StopReason, title: string): boolean {
  const sinceStartNs = BigInt(Math.round(performance.now() * 1e6));
  const commandStart = { name: 'command-start', monotonicNs: process.hrtime.bigint() - sinceStartNs } as const;
  const marks = [commandStart, ...vm.timeline.marks];
  const report = vmReport({ marks, machine: vm.summary, metrics: vm.metrics(), reason });
  try {
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(`${path.replace(/\.json$/, '')}.svg`, reportSvg(title, report));
    return true;
  } catch (error) {
    process.stderr.write(`tsvm: cannot write the report: ${messageOf(error)}\n`);
    return false;
  }
}
