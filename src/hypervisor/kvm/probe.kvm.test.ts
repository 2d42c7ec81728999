import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasKvm } from '../testing/kvm.ts';
import { probeKvm } from './probe.ts';

test('a machine without /dev/kvm has no KVM', async () => {
  const verdict = await probeKvm({ path: '/dev/there-is-no-such-device' });

  expect(verdict).toMatchObject({ verdict: 'no-kvm', details: { probes: [] } });
  expect(verdict.advice).not.toBe('');
});

test.skipIf(process.getuid?.() !== 0)(
  'a user who may not open /dev/kvm is told so, and what to do (needs root)',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvm-'));
    const path = join(folder, 'kvm');
    writeFileSync(path, '', { mode: 0o600 });
    chmodSync(folder, 0o755);

    process.seteuid?.(65534);
    const { verdict, advice } = await probeKvm({ path }).finally(() => process.seteuid?.(0));
    rmSync(folder, { recursive: true });

    expect(verdict).toBe('no-permission');
    expect(advice).toContain('kvm');
  },
);

test('a device that is not KVM is told from one that is', async () => {
  const verdict = await probeKvm({ path: '/dev/null' });

  expect(verdict.verdict).toBe('cannot-run-linux');
  expect(verdict.reason).toContain('KVM_GET_API_VERSION failed with ENOTTY');
});

describe.skipIf(!hasKvm())('with /dev/kvm', () => {
  test('the verdict follows from the probes', async () => {
    const { verdict, details } = await probeKvm();

    const failures = details.probes.filter(({ outcome }) => outcome === 'failed');
    expect(details.probes.map(({ name }) => name)).toContain('SYSCALL from ring 3 and back');
    expect(verdict).toBe(failures.length === 0 ? 'ok' : 'cannot-run-linux');
  });
});
