import { describe, expect, test } from 'vitest';
import { Timeline, timelineRows, timelineSvg, timelineTable } from './timeline.ts';

function sample(): Timeline {
  const timeline = new Timeline();
  timeline.mark('agent-ready', 30_000_000n);
  timeline.mark('command-start', 10_000_000n);
  timeline.mark('agent-ready', 99_000_000n);
  timeline.mark('vm-start', 12_500_000n);
  return timeline;
}

describe('Timeline', () => {
  test('keeps the first time of each mark and gives them in order of time', () => {
    expect(sample().marks).toEqual([
      { name: 'command-start', monotonicNs: 10_000_000n },
      { name: 'vm-start', monotonicNs: 12_500_000n },
      { name: 'agent-ready', monotonicNs: 30_000_000n },
    ]);
  });

  test('rows count from the first mark and from the one before', () => {
    expect(timelineRows(sample().marks).map(({ atMs, tookMs }) => [atMs, tookMs])).toEqual([
      [0, 0],
      [2.5, 2.5],
      [20, 17.5],
    ]);
  });

  test('the table has a line for each mark', () => {
    expect(timelineTable(timelineRows(sample().marks)).split('\n')).toEqual([
      'what                             at        took',
      'command entered              0.0 ms            ',
      'VM built, devices ready      2.5 ms      2.5 ms',
      'guest agent answers         20.0 ms     17.5 ms',
    ]);
  });

  test('the picture has a bar for each span and escapes its title', () => {
    const svg = timelineSvg('a <b> & c', timelineRows(sample().marks));
    expect(svg.match(/<rect x=/g)).toHaveLength(2);
    expect(svg).toContain('a &lt;b&gt; &amp; c');
  });
});
