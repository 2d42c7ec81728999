// Control groups of this machine's kernel: by the runtime with the guest's agent in namespaces, and by the code alone.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HostCgroup } from '../../src/host/cgroup/host-cgroup.ts';
import { hostLayout } from '../../src/host/cgroup/layout.ts';
import { planCgroup } from '../../src/host/cgroup/plan.ts';
import { setOomScoreAdj } from '../../src/host/oom-score-adj.ts';
import { MIB } from '../../src/lib/units.ts';
import type { HostResources } from '../../src/oci/resources.ts';
import { controls, describeCgroups } from './cgroup-cases.ts';
import { isRunning, until } from './harness.ts';
import { ON_AGENT } from './on-agent.ts';
import { describeTskataCgroups } from './tskata-cgroup-cases.ts';

describeCgroups(ON_AGENT);
describeTskataCgroups(ON_AGENT);

const PATH = `/cgroup-test-${process.pid}`;

function limits(resources: HostResources) {
  return { resources, vmMemoryBytes: 64 * MIB, overheadBytes: 16 * MIB };
}

/** A control group of its own, removed at the end. */
function newCgroup(): HostCgroup & Disposable {
  const cgroup = new HostCgroup(
    planCgroup(hostLayout(), { id: 'c1', cgroupsPath: PATH, systemd: false, rootless: false }),
  );
  return Object.assign(cgroup, { [Symbol.dispose]: () => cgroup.remove() });
}

function sleeper(): number {
  return Number(spawn('/bin/sleep', ['1000'], { stdio: 'ignore' }).pid);
}

describe('the kernel of this machine', () => {
  test('has the limits that were asked for, and others after a change', () => {
    using cgroup = newCgroup();

    cgroup.claim();
    cgroup.make(limits({ cpu: { shares: 1024, quota: 20_000, period: 100_000 } }));
    const first = [...controls(PATH, 'memory.max'), ...controls(PATH, 'memory.limit_in_bytes')];
    cgroup.limit({
      ...limits({ cpu: { quota: 5000, period: 10_000 }, memory: { limit: 32 * MIB } }),
      overheadBytes: 0,
    });
    const second = [...controls(PATH, 'memory.max'), ...controls(PATH, 'memory.limit_in_bytes')];

    expect(first).toEqual([String(80 * MIB)]);
    expect(second).toEqual([String(64 * MIB)]);
    expect([...controls(PATH, 'cpu.max'), ...controls(PATH, 'cpu.cfs_quota_us')]).toEqual([
      expect.stringMatching(/^5000( 10000)?$/),
    ]);
  });

  test('takes all limits of a change or none', () => {
    using cgroup = newCgroup();
    cgroup.claim();
    cgroup.make(limits({ cpu: { quota: 20_000, period: 100_000 } }));
    const before = [...controls(PATH, 'cpu.max'), ...controls(PATH, 'cpu.cfs_quota_us')];

    expect(() => cgroup.limit(limits({ cpu: { quota: 30_000, period: 100_000, cpus: '8000' } }))).toThrow(
      'cpuset.cpus',
    );

    expect([...controls(PATH, 'cpu.max'), ...controls(PATH, 'cpu.cfs_quota_us')]).toEqual(before);
  });

  test('lets what is in a control group, below it, and frozen be ended and removed', async () => {
    const cgroup = newCgroup();
    const [outer, inner] = [sleeper(), sleeper()];
    cgroup.claim();
    cgroup.make(limits({}));
    cgroup.enterFirst(outer, 'c1', limits({}));
    const freezer =
      cgroup.record.places.find(({ path }) => existsSync(join(path, 'freezer.state'))) ?? cgroup.record.places[0];
    const nested = join(freezer?.path ?? '', 'nested');
    mkdirSync(nested);
    writeFileSync(join(nested, 'cgroup.procs'), String(inner));
    const [file, value] = existsSync(join(nested, 'freezer.state'))
      ? ['freezer.state', 'FROZEN']
      : ['cgroup.freeze', '1'];
    writeFileSync(join(freezer?.path ?? '', file), value);

    cgroup.remove();

    await until(() => !isRunning(outer) && !isRunning(inner));
    expect(cgroup.record.places.filter(({ path }) => existsSync(path))).toEqual([]);
  });

  test('tells which processes are in the way', () => {
    using first = newCgroup();
    first.claim();
    first.make(limits({}));
    first.enterFirst(sleeper(), 'c1', limits({}));

    expect(() => newCgroup().claim()).toThrow("container's cgroup is not empty: 1 process(es) found");
  });

  test('lets a process be among the first to go, and what may not be set is left', () => {
    const pid = sleeper();

    setOomScoreAdj(pid, 500, false);
    const score = readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8');

    expect(score).toBe('500\n');
    expect(() => setOomScoreAdj(pid, -1000, true)).not.toThrow();
    process.kill(pid, 'SIGKILL');
  });
});
