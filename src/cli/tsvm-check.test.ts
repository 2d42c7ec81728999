import { expect, test } from 'vitest';
import { formatVerdict } from './tsvm-check.ts';

test('a KVM that can run Linux gets no advice', () => {
  const text = formatVerdict({
    verdict: 'ok',
    reason: '/dev/kvm runs what Linux needs',
    advice: '',
    details: {
      path: '/dev/kvm',
      probes: [{ name: 'INT3', outcome: 'passed', what: '', durationMs: 1.25 }],
      hasReadonlyMemory: true,
      hasCoalescedMmio: false,
      durationMs: 2,
    },
  });

  expect(text).toBe(
    [
      'ok: this machine can run virtual machines',
      '/dev/kvm runs what Linux needs.',
      '  passed   INT3 (1.3 ms)',
      '  read-only memory slots: yes, collected MMIO writes: no',
      '',
    ].join('\n'),
  );
});

test('a KVM that falls short is told with what failed and what to do', () => {
  const text = formatVerdict({
    verdict: 'cannot-run-linux',
    reason: '/dev/kvm is there, but lacks INT3',
    advice: 'use another machine',
    details: {
      path: '/dev/kvm',
      probes: [{ name: 'INT3', outcome: 'failed', what: 'a triple fault', durationMs: 1 }],
      durationMs: 2,
    },
  });

  expect(text).toContain('  failed   INT3: a triple fault (1.0 ms)');
  expect(text).toContain('What to do: use another machine.');
});
