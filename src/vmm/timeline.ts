// Where the time of a start went: named moments on one clock, and the counts that hold on any machine.

/** Names of the moments of a start, in the order in which they come. */
export const TIMELINE_MARKS = [
  'command-start',
  'sandbox-start',
  'vm-start',
  'kernel-entry',
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

/** Plain hues that stay apart for most eyes, one a span. */
const COLOURS = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#76b7b2', '#edc948', '#b07aa1', '#9c755f'];

/** The rows as an SVG picture: a bar a span, on one axis of milliseconds. */
export function timelineSvg(title: string, rows: readonly TimelineRow[]): string {
  const left = 270;
  const plot = 560;
  const rowHeight = 28;
  const top = 56;
  const spans = rows.slice(1);
  const totalMs = Math.max(rows.at(-1)?.atMs ?? 0, 1e-6);
  const x = (ms: number): number => left + (plot * ms) / totalMs;
  const height = top + spans.length * rowHeight + 36;
  const bars = spans.map(({ meaning, atMs, tookMs }, index) => {
    const y = top + index * rowHeight;
    const startX = x(atMs - tookMs);
    const width = Math.max((plot * tookMs) / totalMs, 1.5);
    return [
      `<text x="${left - 10}" y="${y + 17}" text-anchor="end">${escapeXml(meaning)}</text>`,
      `<rect x="${startX.toFixed(1)}" y="${y + 4}" width="${width.toFixed(1)}" height="${rowHeight - 8}" rx="2" fill="${COLOURS[index % COLOURS.length]}"/>`,
      `<text x="${(startX + width + 6).toFixed(1)}" y="${y + 17}" class="value">${tookMs.toFixed(tookMs < 10 ? 1 : 0)} ms</text>`,
    ].join('\n');
  });
  const axis = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = x(share * totalMs).toFixed(1);
    const bottom = top + spans.length * rowHeight;
    return `<line x1="${at}" y1="${top - 6}" x2="${at}" y2="${bottom}" class="grid"/>\n<text x="${at}" y="${bottom + 18}" text-anchor="middle" class="value">${Math.round(share * totalMs)} ms</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + plot + 90}" height="${height}" viewBox="0 0 ${left + plot + 90} ${height}" font-family="sans-serif" font-size="13">
<style>text { fill: #222 } .value { fill: #666; font-size: 11px } .grid { stroke: #ddd } .title { font-size: 16px; font-weight: bold }</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="20" y="28" class="title">${escapeXml(title)}</text>
${axis.join('\n')}
${bars.join('\n')}
</svg>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** A start as a file: what `--report FILE` writes. Integers beyond 2^53 are strings of digits. */
export interface StartReport {
  readonly hostKernelRelease: string;
  readonly guestKernelRelease?: string;
  readonly marks: readonly { readonly name: TimelineMarkName; readonly monotonicNs: string }[];
  /** Why the sandbox ended. */
  readonly endReason?: string;
  /** Exits of the vCPUs to the VMM, by reason. */
  readonly exits: Readonly<Record<string, number>>;
}

/** Reads the marks of a report back. */
export function reportMarks(report: StartReport): TimelineMark[] {
  return report.marks.map(({ name, monotonicNs }) => ({ name, monotonicNs: BigInt(monotonicNs) }));
}
