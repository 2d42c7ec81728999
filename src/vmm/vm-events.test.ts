import { expect, test, vi } from 'vitest';
import { VmEvents } from './vm-events.ts';

test('who watches gets what happens from then on, until it stops watching', () => {
  const events = new VmEvents();
  const listener = vi.fn();
  events.emit({ kind: 'started' });
  const watch = events.watch(listener);
  events.emit({ kind: 'paused' });
  watch[Symbol.dispose]();
  events.emit({ kind: 'resumed' });

  expect(listener.mock.calls).toEqual([[{ kind: 'paused' }]]);
});
