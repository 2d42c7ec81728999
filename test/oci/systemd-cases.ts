// `--systemd-cgroup` where systemd manages the host: the units that it makes for containers, and their limits.
import { expect, test } from 'vitest';
import type { SystemdHost } from '../guest/systemd-host.ts';
import { type Ended, type Runtime, RuntimeBed, shell } from './harness.ts';

const SLEEP = shell('sleep 1000');
const DONE: Ended = { status: 0, stdout: '', stderr: '' };

/** A runtime as it is called on a host of systemd's. */
export function withSystemd(name: string, program: string, host: () => SystemdHost): Runtime {
  return {
    name,
    get command() {
      return [...host().command, program, '--systemd-cgroup'];
    },
  };
}

/** Cases that any runtime with runc's commands passes. */
export function describeSystemdCgroups(runtime: Runtime, host: () => SystemdHost): void {
  test(`${runtime.name}: a container has a scope, whose limits last and change with update, and ends with it`, async () => {
    await using bed = new RuntimeBed(runtime);
    const slice = bed.name.replaceAll('-', '_');
    const unit = `docker-${bed.name}.scope`;
    const cgroup = `/${slice}.slice/${slice}-b.slice/${unit}`;
    const limits = ['CPUQuotaPerSecUSec', 'CPUQuotaPeriodUSec', 'AllowedCPUs', 'AllowedMemoryNodes', 'MemorySwapMax'];
    const sameInFiles = async (): Promise<void> => {
      const { MemoryMax, CPUWeight } = await host().show(unit, 'MemoryMax', 'CPUWeight');
      const files = ['memory.max', 'cpu.weight'].map((file) => host().control(cgroup, file));
      expect([MemoryMax, CPUWeight]).toEqual(files);
    };
    const bundle = bed.bundle({
      ...SLEEP,
      cgroupsPath: `${slice}-b.slice:docker:${bed.name}`,
      resources: {
        memory: { limit: 128 << 20, swap: 256 << 20 },
        cpu: { shares: 512, quota: 49_123, period: 50_000, cpus: '0', mems: '0' },
      },
    });
    // One of this name has failed before, and nobody has asked for it yet.
    const failing = ['--scope', `--unit=${unit}`, '--property=RuntimeMaxSec=1ms', 'sleep', '1000'];
    await host().call('/usr/bin/systemd-run', ...failing);
    expect(await host().show(unit, 'ActiveState')).toEqual({ ActiveState: 'failed' });

    expect(await bed.detached(['run', '--detach', '-b', bundle, 'c1'])).toEqual(DONE);

    const { pid } = await bed.state('c1');
    expect(host().cgroupOf(pid)).toBe(cgroup);
    expect(await host().show(unit, 'ActiveState', 'Slice', 'Delegate', 'OOMPolicy')).toEqual({
      ActiveState: 'active',
      Slice: `${slice}-b.slice`,
      Delegate: 'yes',
      OOMPolicy: 'continue',
    });
    // systemd knows whole percents of a processor; the kernel has been told exactly.
    const expected = {
      CPUQuotaPerSecUSec: '990ms',
      CPUQuotaPeriodUSec: '50ms',
      AllowedCPUs: '0',
      AllowedMemoryNodes: '0',
      MemorySwapMax: String(128 << 20),
    };
    expect(await host().show(unit, ...limits)).toEqual(expected);
    expect(host().control(cgroup, 'cpu.max')).toBe('49123 50000');
    await sameInFiles();

    const flags = ['--cpu-quota', '98765', '--cpu-period', '100000', '--cpu-share', '2048', '--memory-swap', '-1'];
    expect(await bed.call(['update', ...flags, 'c1'])).toEqual(DONE);

    expect(host().control(cgroup, 'cpu.max')).toBe('98765 100000');
    await host().systemctl('daemon-reload');
    expect(await host().show(unit, ...limits)).toEqual({
      ...expected,
      CPUQuotaPeriodUSec: '100ms',
      MemorySwapMax: 'infinity',
    });
    await sameInFiles();
    expect(await bed.call(['pause', 'c1'])).toEqual(DONE);
    expect((await bed.state('c1')).status).toBe('paused');
    expect(await bed.call(['resume', 'c1'])).toEqual(DONE);
    expect(await bed.call(['exec', 'c1', 'echo', 'hello'])).toEqual({ ...DONE, stdout: 'hello\n' });

    await host().printed('/bin/kill', '-9', String(pid));
    await bed.until('c1', 'stopped');
    expect(await bed.call(['delete', 'c1'])).toEqual(DONE);
    expect(await host().scopes()).not.toContain(unit);
    expect(bed.leftovers()).toEqual([]);
  });
}

/** What is particular to sandboxes. */
export function describeTskataSystemdCgroups(runtime: Runtime, host: () => SystemdHost): void {
  test(`${runtime.name}: a scope of others is left alone`, async () => {
    await using bed = new RuntimeBed(runtime);
    const unit = `docker-${bed.name}.scope`;
    const bundle = bed.bundle({ ...SLEEP, cgroupsPath: `:docker:${bed.name}` });
    await using _others = await host().holdScope(unit);

    const result = await bed.detached(['create', '-b', bundle, 'c1']);

    expect(result.status).toBe(1);
    expect(result.stderr).toContain("container's cgroup is not empty: 1 process(es) found");
    expect(await host().show(unit, 'ActiveState')).toEqual({ ActiveState: 'active' });
  });

  test(`${runtime.name}: a bus that does not run is an error that says so, and leaves nothing`, async () => {
    await using bed = new RuntimeBed(runtime);
    const bundle = bed.bundle({ ...SLEEP, cgroupsPath: `:docker:${bed.name}` });
    await host().systemctl('stop', 'dbus.socket', 'dbus.service');
    await using end = new AsyncDisposableStack();
    end.defer(async () => void (await host().systemctl('start', 'dbus.socket')));

    const result = await bed.detached(['create', '-b', bundle, 'c1']);

    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/--systemd-cgroup needs .*busctl.*: is D-Bus running\?/);
    expect(bed.leftovers()).toEqual([]);
  });
}
