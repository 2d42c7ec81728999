// Where the time of a start went: named moments on one clock, and the counts that hold on any machine.
import { barSection, type Section, svgPage } from './svg.ts';

/** Names of the moments of a start, in the order in which they come. */
export const TIMELINE_MARKS = [
  'command-start',
  'sandbox-start',
  'vm-start',
  'kernel-entry',
  'agent-start',
  'agent-ready',
  'container-created',
  'container-started',
  'first-output',
  'container-exited',
] as const;

export type TimelineMarkName = (typeof TIMELINE_MARKS)[number];

/** What a person reads for a mark. */
const MEANINGS: Readonly<Record<TimelineMarkName, string>> = {
  'command-start': 'command entered',
  'sandbox-start': 'sandbox process started',
  'vm-start': 'VM built, devices ready',
  'kernel-entry': 'first instruction of the guest kernel',
  'agent-start': 'first line of the guest agent',
  'agent-ready': 'guest agent answers',
  'container-created': 'container made in the guest',
  'container-started': 'program started',
  'first-output': 'first output seen',
  'container-exited': 'program ended',
};

export interface TimelineMark {
  readonly name: TimelineMarkName;
  /** CLOCK_MONOTONIC, nanoseconds: the same clock in every process of this host. */
  readonly monotonicNs: bigint;
}

/** Collects the marks of one start. A mark counts the first time only. */
export class Timeline {
  readonly #marks = new Map<TimelineMarkName, bigint>();

  mark(name: TimelineMarkName, monotonicNs: bigint): void {
    if (!this.#marks.has(name)) this.#marks.set(name, monotonicNs);
  }

  /** The marks made so far, earliest first. */
  get marks(): TimelineMark[] {
    return [...this.#marks]
      .map(([name, monotonicNs]) => ({ name, monotonicNs }))
      .sort((a, b) => Number(a.monotonicNs - b.monotonicNs));
  }
}

/** A span between two marks, as a person reads it. */
export interface TimelineRow {
  readonly name: TimelineMarkName;
  readonly meaning: string;
  /** Since the first mark, milliseconds. */
  readonly atMs: number;
  /** Since the mark before, milliseconds. */
  readonly tookMs: number;
}

/** The marks as rows; the first has the time 0. */
export function timelineRows(marks: readonly TimelineMark[]): TimelineRow[] {
  const startNs = marks[0]?.monotonicNs ?? 0n;
  return marks.map(({ name, monotonicNs }, index) => ({
    name,
    meaning: MEANINGS[name],
    atMs: Number(monotonicNs - startNs) / 1e6,
    tookMs: Number(monotonicNs - (marks[index - 1]?.monotonicNs ?? startNs)) / 1e6,
  }));
}

/** The rows as a table of plain text, one line a mark. */
export function timelineTable(rows: readonly TimelineRow[]): string {
  const width = Math.max(...rows.map(({ meaning }) => meaning.length), 4);
  const line = (what: string, at: string, took: string): string =>
    `${what.padEnd(width)}  ${at.padStart(10)}  ${took.padStart(10)}`;
  const number = (ms: number): string => `${ms.toFixed(1)} ms`;
  return [
    line('what', 'at', 'took'),
    ...rows.map(({ meaning, atMs, tookMs }, index) => line(meaning, number(atMs), index === 0 ? '' : number(tookMs))),
  ].join('\n');
}

/** A bar a span, on one axis of milliseconds. */
export function timelineSection(rows: readonly TimelineRow[]): Section {
  const totalMs = Math.max(rows.at(-1)?.atMs ?? 0, 1e-6);
  const bars = rows.slice(1).map(({ meaning, atMs, tookMs }) => ({
    label: meaning,
    start: (atMs - tookMs) / totalMs,
    length: tookMs / totalMs,
    value: `${tookMs.toFixed(tookMs < 10 ? 1 : 0)} ms`,
  }));
  return barSection(bars, { axis: (share) => `${Math.round(share * totalMs)} ms`, colourful: true });
}

/** The rows as an SVG picture. */
export function timelineSvg(title: string, rows: readonly TimelineRow[]): string {
  return svgPage(title, [timelineSection(rows)]);
}

/** A start as a file: what `--report FILE` writes. Integers beyond 2^53 are strings of digits. */
export interface StartReport {
  readonly hostKernelRelease: string;
  readonly guestKernelRelease?: string;
  readonly marks: readonly { readonly name: TimelineMarkName; readonly monotonicNs: string }[];
  /** Why it ended, for a person. */
  readonly endReason?: string;
  /** Exits of the vCPUs to the VMM, by reason. */
  readonly exits: Readonly<Record<string, number>>;
  /** Processor time of the guest's agent until it could answer, microseconds. */
  readonly agentProcessorUs?: { readonly user: number; readonly system: number };
}

/** Reads the marks of a report back. */
export function reportMarks(report: StartReport): TimelineMark[] {
  return report.marks.map(({ name, monotonicNs }) => ({ name, monotonicNs: BigInt(monotonicNs) }));
}
