// Pictures of reports: sections of bars and of numbers, one below the other on a white page.

/** Page geometry, pixels. */
const WIDTH = 920;
const MARGIN = 20;
const LABEL_END = 260;
const PLOT_START = 270;
const PLOT_WIDTH = 530;
const ROW_HEIGHT = 26;
const LINE_HEIGHT = 18;
const HEADING_HEIGHT = 34;
const TITLE_HEIGHT = 46;

/** Plain hues that stay apart for most eyes. */
const COLOURS = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#76b7b2', '#edc948', '#b07aa1', '#9c755f'];

/** A part of a page, drawn from `top` on. */
export interface Section {
  /** Pixels. */
  readonly height: number;
  draw(top: number): string;
}

/** A bar, in shares of the plot's width. */
export interface Bar {
  readonly label: string;
  /** 0 to 1. */
  readonly start: number;
  /** 0 to 1. */
  readonly length: number;
  /** Behind the bar. */
  readonly value: string;
}

export interface BarOptions {
  readonly heading?: string;
  /** What is at five places of the axis, from 0 to the plot's width. @default no axis */
  readonly axis?: (share: number) => string;
  /** Whether each bar has a colour of its own. @default false */
  readonly colourful?: boolean;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

interface TextOptions {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly style?: 'value' | 'heading' | 'title';
}

function text(x: number, y: number, content: string, { anchor = 'start', style }: TextOptions = {}): string {
  const kind = style === undefined ? '' : ` class="${style}"`;
  return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}"${kind}>${escapeXml(content)}</text>`;
}

/** As many characters as fit before the plot; the end of a path says more than its beginning. */
function shorten(label: string): string {
  const fitting = 38;
  return label.length <= fitting ? label : `…${label.slice(1 - fitting)}`;
}

export function barSection(bars: readonly Bar[], { heading, axis, colourful = false }: BarOptions = {}): Section {
  const headingHeight = heading === undefined ? 10 : HEADING_HEIGHT;
  const plotHeight = bars.length * ROW_HEIGHT;
  return {
    height: headingHeight + plotHeight + (axis === undefined ? 10 : 30),
    draw(top) {
      const plotTop = top + headingHeight;
      const bottom = plotTop + plotHeight;
      const ticks = axis === undefined ? [] : [0, 0.25, 0.5, 0.75, 1];
      const grid = ticks.map((share) => {
        const x = PLOT_START + PLOT_WIDTH * share;
        return [
          `<line x1="${x}" y1="${plotTop - 4}" x2="${x}" y2="${bottom}" class="grid"/>`,
          text(x, bottom + 16, axis?.(share) ?? '', { anchor: 'middle', style: 'value' }),
        ].join('\n');
      });
      const drawn = bars.map(({ label, start, length, value }, index) => {
        const y = plotTop + index * ROW_HEIGHT;
        const x = PLOT_START + PLOT_WIDTH * start;
        const width = Math.max(PLOT_WIDTH * length, 1.5);
        return [
          text(LABEL_END, y + 17, shorten(label), { anchor: 'end' }),
          `<rect x="${x.toFixed(1)}" y="${y + 4}" width="${width.toFixed(1)}" height="${ROW_HEIGHT - 8}" rx="2" fill="${COLOURS[colourful ? index % COLOURS.length : 0]}"/>`,
          text(x + width + 6, y + 17, value, { style: 'value' }),
        ].join('\n');
      });
      const title = heading === undefined ? [] : [text(MARGIN, top + 22, heading, { style: 'heading' })];
      return [...title, ...grid, ...drawn].join('\n');
    },
  };
}

/** Numbers that belong to one thing. */
export interface NumberGroup {
  readonly name: string;
  readonly rows: readonly { readonly label: string; readonly value: string }[];
}

const COLUMNS = 3;
const COLUMN_WIDTH = (WIDTH - 2 * MARGIN) / COLUMNS;

/** Groups side by side, each below the one that leaves most room. */
export function numberSection(heading: string, groups: readonly NumberGroup[]): Section {
  const heights = Array.from({ length: COLUMNS }, () => 0);
  const placed = groups.map((group) => {
    const column = heights.indexOf(Math.min(...heights));
    const at = heights[column] ?? 0;
    heights[column] = at + (group.rows.length + 2) * LINE_HEIGHT;
    return { group, column, at };
  });
  return {
    height: HEADING_HEIGHT + Math.max(...heights),
    draw(top) {
      const drawn = placed.map(({ group, column, at }) => {
        const x = MARGIN + column * COLUMN_WIDTH;
        const y = top + HEADING_HEIGHT + at + 14;
        const rows = group.rows.flatMap(({ label, value }, index) => [
          text(x, y + (index + 1) * LINE_HEIGHT, label, { style: 'value' }),
          text(x + COLUMN_WIDTH - 40, y + (index + 1) * LINE_HEIGHT, value, { anchor: 'end' }),
        ]);
        return [text(x, y, shorten(group.name), { style: 'heading' }), ...rows].join('\n');
      });
      return [text(MARGIN, top + 22, heading, { style: 'heading' }), ...drawn].join('\n');
    },
  };
}

/** Lines of text. */
export function textSection(lines: readonly string[]): Section {
  return {
    height: lines.length * LINE_HEIGHT,
    draw: (top) =>
      lines.map((line, index) => text(MARGIN, top + 12 + index * LINE_HEIGHT, line, { style: 'value' })).join('\n'),
  };
}

export function svgPage(title: string, sections: readonly Section[]): string {
  let top = TITLE_HEIGHT;
  const drawn: string[] = [];
  for (const section of sections) {
    drawn.push(section.draw(top));
    top += section.height;
  }
  const height = top + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">
<style>text { fill: #222 } .value { fill: #555; font-size: 12px } .grid { stroke: #ddd } .heading { font-weight: bold } .title { font-size: 16px; font-weight: bold }</style>
<rect width="100%" height="100%" fill="#fff"/>
${text(MARGIN, 28, title, { style: 'title' })}
${drawn.join('\n')}
</svg>
`;
}
