// Several competitors' samples of one figure: a table, and a picture, of medians, ranges and ratios.

export interface Comparison {
  readonly title: string;
  readonly unit: string;
  /** The first is the one that the others are compared with. Samples of one index were taken in one turn. */
  readonly entries: readonly { readonly name: string; readonly samples: readonly number[] }[];
}

/** The middle value; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? Number.NaN, sorted[Math.floor(middle)] ?? Number.NaN];
  return (low + high) / 2;
}

interface Row {
  readonly name: string;
  readonly median: number;
  readonly minimum: number;
  readonly maximum: number;
  /** Median over the turns of the first competitor's sample divided by this one's. */
  readonly ratio: number;
}

function rows({ entries }: Comparison): Row[] {
  const first = entries[0]?.samples ?? [];
  return entries.map(({ name, samples }) => ({
    name,
    median: median(samples),
    minimum: Math.min(...samples),
    maximum: Math.max(...samples),
    ratio: median(samples.map((sample, turn) => (first[turn] ?? Number.NaN) / sample)),
  }));
}

/** A line for each competitor. */
export function comparisonTable(comparison: Comparison): string {
  const [first, ...others] = rows(comparison);
  if (first === undefined) return '';
  const number = (value: number): string => `${value.toFixed(0)} ${comparison.unit}`.padStart(12);
  const line = (row: Row, ratio: string): string =>
    `${row.name.padEnd(12)}${number(row.median)}${number(row.minimum)}${number(row.maximum)}  ${ratio}`;
  return [
    `${''.padEnd(12)}${['median', 'least', 'most'].map((word) => word.padStart(12)).join('')}  ratio`,
    line(first, ''),
    ...others.map((row) => line(row, `${first.name} / ${row.name} = ${row.ratio.toFixed(2)}`)),
  ].join('\n');
}

/** A bar for each competitor's median, with a line from its least to its most. */
export function comparisonSvg(comparison: Comparison): string {
  const bars = rows(comparison);
  const left = 110;
  const plot = 460;
  const rowHeight = 34;
  const top = 50;
  const most = Math.max(...bars.map(({ maximum }) => maximum));
  const width = (value: number): string => ((plot * value) / most).toFixed(1);
  const parts = bars.map(({ name, median: middle, minimum, maximum }, index) => {
    const y = top + index * rowHeight;
    const at = (value: number): string => (left + (plot * value) / most).toFixed(1);
    return `<text x="${left - 10}" y="${y + 17}" text-anchor="end">${name}</text>
<rect x="${left}" y="${y + 3}" width="${width(middle)}" height="20" fill="${index === 0 ? '#4e79a7' : '#bab0ac'}"/>
<line x1="${at(minimum)}" x2="${at(maximum)}" y1="${y + 13}" y2="${y + 13}" stroke="#222"/>
<text x="${left + plot + 12}" y="${y + 17}">${middle.toFixed(0)} ${comparison.unit}</text>`;
  });
  const size = [left + plot + 100, top + bars.length * rowHeight + 14];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#fff"/>
<text x="20" y="28" font-size="15" font-weight="bold">${comparison.title}</text>
${parts.join('\n')}
</svg>
`;
}
