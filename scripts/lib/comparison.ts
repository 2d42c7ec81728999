// Several competitors' samples of one figure: a table, and a picture, of medians, ranges and ratios.

export interface Comparison {
  readonly title: string;
  readonly unit: string;
  /** Which of two figures is the better one. @default less */
  readonly better?: 'less' | 'more';
  /** The first is the one that the others are compared with. Samples of one index were taken in one turn. */
  readonly entries: readonly { readonly name: string; readonly samples: readonly number[] }[];
}

/** What one suite found out. */
export interface SuiteResult {
  readonly comparisons: readonly Comparison[];
  /** What a reader of the figures must know, or wants to: a line each. */
  readonly notes?: readonly string[];
}

/** The middle value; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? Number.NaN, sorted[Math.floor(middle)] ?? Number.NaN];
  return (low + high) / 2;
}

interface Range {
  readonly median: number;
  readonly minimum: number;
  readonly maximum: number;
}

interface Row extends Range {
  readonly name: string;
  /** The first competitor's sample divided by this one's, over the turns. */
  readonly ratio: Range;
}

function range(values: readonly number[]): Range {
  return { median: median(values), minimum: Math.min(...values), maximum: Math.max(...values) };
}

function rows({ entries }: Comparison): Row[] {
  const first = entries[0]?.samples ?? [];
  return entries.map(({ name, samples }) => ({
    name,
    ...range(samples),
    ratio: range(samples.map((sample, turn) => (first[turn] ?? Number.NaN) / sample)),
  }));
}

/** Three digits, or all that are before the point; a count as it is. */
function number(value: number): string {
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

/** A line for each competitor. */
export function comparisonTable(comparison: Comparison): string {
  const [first, ...others] = rows(comparison);
  if (first === undefined) return '';
  const width = Math.max(...comparison.entries.map(({ name }) => name.length)) + 2;
  const cellWidth = comparison.unit.length + 12;
  const cell = (value: number): string => `${number(value)} ${comparison.unit}`.padStart(cellWidth);
  const line = (row: Row, ratio: string): string =>
    `${row.name.padEnd(width)}${cell(row.median)}${cell(row.minimum)}${cell(row.maximum)}  ${ratio}`.trimEnd();
  const words = ['median', 'least', 'most'].map((word) => word.padStart(cellWidth)).join('');
  return [
    `${comparison.title} (${comparison.better ?? 'less'} is better)`,
    `${''.padEnd(width)}${words}  ratio (least to most)`,
    line(first, ''),
    ...others.map((row) => {
      const [middle, least, most] = [row.ratio.median, row.ratio.minimum, row.ratio.maximum].map((x) => x.toFixed(2));
      return line(row, `${first.name} / ${row.name} = ${middle} (${least} to ${most})`);
    }),
  ].join('\n');
}

const LEFT = 190;
const PLOT = 460;
const ROW_HEIGHT = 34;
const TITLE_HEIGHT = 50;
const PANEL_GAP = 14;

/** The part of the picture that shows one comparison, from `top` on. */
function panel(comparison: Comparison, top: number): string {
  const bars = rows(comparison);
  const most = Math.max(...bars.map(({ maximum }) => maximum));
  const length = (value: number): number => (most > 0 ? (PLOT * value) / most : 0);
  const parts = bars.map(({ name, median: middle, minimum, maximum }, index) => {
    const y = top + TITLE_HEIGHT + index * ROW_HEIGHT;
    const at = (value: number): string => (LEFT + length(value)).toFixed(1);
    return `<text x="${LEFT - 10}" y="${y + 17}" text-anchor="end">${name}</text>
<rect x="${LEFT}" y="${y + 3}" width="${length(middle).toFixed(1)}" height="20" fill="${index === 0 ? '#4e79a7' : '#bab0ac'}"/>
<line x1="${at(minimum)}" x2="${at(maximum)}" y1="${y + 13}" y2="${y + 13}" stroke="#222"/>
<text x="${LEFT + PLOT + 12}" y="${y + 17}">${number(middle)} ${comparison.unit}</text>`;
  });
  const title = `${comparison.title} (${comparison.better ?? 'less'} is better)`;
  return `<text x="20" y="${top + 28}" font-size="15" font-weight="bold">${title}</text>\n${parts.join('\n')}`;
}

/** One below the other: a bar for each competitor's median, with a line from its least to its most. */
export function comparisonSvg(comparisons: readonly Comparison[]): string {
  let height = 0;
  const panels = comparisons.map((comparison) => {
    const text = panel(comparison, height);
    height += TITLE_HEIGHT + comparison.entries.length * ROW_HEIGHT + PANEL_GAP;
    return text;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + PLOT + 110}" height="${height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#fff"/>
${panels.join('\n')}
</svg>
`;
}
