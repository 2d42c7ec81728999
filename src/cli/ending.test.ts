import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Ending } from './ending.ts';

function signal(name: NodeJS.Signals): void {
  process.emit(name, name);
}

test.each([
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('a first %s asks for the end with status %i', async (name, status) => {
  using ending = new Ending();
  expect(ending.status).toBeUndefined();
  signal(name);

  expect(ending.status).toBe(status);
  await expect(ending.asked).resolves.toBe(status);
});

describe('a second signal', () => {
  const exit = vi.spyOn(process, 'exit');
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    exit.mockReset().mockImplementation(() => undefined as never);
  });
  afterEach(() => {
    vi.useRealTimers();
    exit.mockRestore();
  });

  test('ends the process at once', () => {
    using _ending = new Ending();
    signal('SIGTERM');
    vi.advanceTimersByTime(1000);
    signal('SIGINT');

    expect(exit.mock.calls).toEqual([[130]]);
  });

  test('that comes with the first, as from timeout(1), means the same', () => {
    using ending = new Ending();
    signal('SIGTERM');
    signal('SIGTERM');

    expect(exit).not.toHaveBeenCalled();
    expect(ending.status).toBe(143);
  });
});

test('what asked first decides the status', async () => {
  using ending = new Ending();
  ending.end(0);
  ending.end(124);

  await expect(ending.asked).resolves.toBe(0);
});

test('an error that nobody caught ends the VM, and is shown', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  using ending = new Ending();
  process.emit('uncaughtException', new Error('a defect'));

  expect(ending.status).toBe(1);
  expect(String(write.mock.calls[0]?.[0])).toContain('a defect');
  write.mockRestore();
});

test('afterwards nobody listens any more', () => {
  const before = process.listenerCount('SIGTERM');
  new Ending()[Symbol.dispose]();

  expect(process.listenerCount('SIGTERM')).toBe(before);
});
