// Control groups that systemd makes: with runc, with tskata, and by engines, for which they are the default where it runs.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pause } from '../oci/harness.ts';
import { describeSystemdCgroups, describeTskataSystemdCgroups, withSystemd } from '../oci/systemd-cases.ts';
import { Engine, PATIENCE, packBox, sandboxes } from './engine.ts';
import { HAS_SYSTEMD, SystemdHost } from './systemd-host.ts';

const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

describe.skipIf(!HAS_SYSTEMD)('where systemd manages the host', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-systemd-engines-'));
  let host: SystemdHost;
  let archive: string;
  beforeAll(async () => {
    host = await SystemdHost.start();
    archive = packBox(folder);
  });
  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  const tskata = withSystemd('tskata', join(import.meta.dirname, '../../build/bin/tskata'), () => host);

  describeSystemdCgroups(
    withSystemd('runc', '/usr/sbin/runc', () => host),
    () => host,
  );
  describeSystemdCgroups(tskata, () => host);
  describeTskataSystemdCgroups(tskata, () => host);

  test('control groups of one name are made and removed by systemd again and again, with processes that do not listen', async () => {
    const program = join(import.meta.dirname, 'programs/scopes.ts');

    const result = await host.call(process.execPath, program, 'a-b.slice:again:c1', '5');

    expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
    await expect.poll(() => host.scopes(), PATIENCE).toEqual([]);
  });

  test('Docker has systemd make the scope of a container, which outlives a process that memory was not enough for', async () => {
    const docker = new Engine(...host.command, '/usr/bin/docker');
    await using end = new AsyncDisposableStack();
    end.defer(() => host.systemctl('stop', 'docker', 'containerd').then(() => {}));
    await host.serve('containerd', '/usr/bin/containerd', '--log-level', 'error');
    while (!existsSync(CONTAINERD_SOCKET)) await pause();
    await host.serve('docker', '/usr/sbin/dockerd', '--containerd', CONTAINERD_SOCKET, '--log-level', 'error');
    while ((await docker.call('info')).status !== 0) await pause();
    await docker.printed('import', archive, 'box');
    const limits = ['-m', '64m', '--cpus', '1', '--cpu-shares', '2048'];

    const id = await docker.printed('run', '-d', '--runtime=tskata', ...limits, 'box', 'sleep', '1000');
    end.defer(() => docker.call('rm', '-f', id).then(() => {}));

    expect(await docker.printed('info', '--format', '{{.CgroupDriver}}')).toBe('systemd');
    const unit = `docker-${id}.scope`;
    const pid = Number(await docker.printed('inspect', '-f', '{{.State.Pid}}', id));
    expect(host.cgroupOf(pid)).toBe(`/system.slice/${unit}`);
    expect(await docker.printed('stats', '--no-stream', '--format', '{{.MemUsage}}', id)).toMatch(
      /^[\d.]+[KM]iB \/ 64MiB$/,
    );
    await docker.printed('update', '--cpus', '0.95', id);
    expect(await host.show(unit, 'CPUQuotaPerSecUSec', 'Description', 'MemoryMax', 'TasksMax')).toEqual({
      CPUQuotaPerSecUSec: '950ms',
      Description: `tskata sandbox of container ${id}`,
      MemoryMax: host.control(`/system.slice/${unit}`, 'memory.max'),
      TasksMax: 'infinity',
    });
    expect((await docker.call('exec', id, 'tail', '/dev/zero')).status).toBe(137);
    const state = (): Promise<string> => docker.printed('inspect', '-f', '{{.State.Status}} {{.State.OOMKilled}}', id);
    expect(await state()).toMatch(/^running /);
    await docker.printed('kill', id);
    await expect.poll(state, PATIENCE).toBe('exited true');
    await docker.printed('rm', '-f', id);
    expect(await host.scopes()).toEqual([]);
    expect(sandboxes()).toEqual([]);
  });

  test('podman has systemd make the scopes of a pod, of its containers and of what watches over them, until the pod is removed whose sandbox was killed', async () => {
    const podman = new Engine(...host.command, '/usr/bin/podman', '--runtime=tskata', '--cgroup-manager=systemd');
    await using end = new AsyncDisposableStack();
    const removePod = (): Promise<unknown> => podman.call('pod', 'rm', '--ignore', '-f', '-t', '0', 'pod');
    end.defer(() => removePod().then(() => {}));
    await podman.printed('import', archive, 'localhost/box');
    const pod = await podman.printed('pod', 'create', '--name', 'pod');

    const id = await podman.printed('run', '-d', '--pod', 'pod', '-m', '64m', 'localhost/box', 'sleep', '1000');

    const infra = await podman.printed('pod', 'inspect', '--format', '{{.InfraContainerID}}', 'pod');
    const slice = `machine-libpod_pod_${pod}.slice`;
    const pid = Number(await podman.printed('inspect', '-f', '{{.State.Pid}}', id));
    expect(host.cgroupOf(pid)).toBe(`/machine.slice/${slice}/libpod-${id}.scope`);
    expect((await host.scopes()).sort()).toEqual(
      [infra, id].flatMap((name) => [`libpod-${name}.scope`, `libpod-conmon-${name}.scope`]).sort(),
    );
    expect(await host.show(`libpod-${infra}.scope`, 'Slice')).toEqual({ Slice: slice });
    const [sandbox] = sandboxes();
    process.kill(Number(sandbox), 'SIGKILL');
    await removePod();
    await expect.poll(() => host.scopes(), PATIENCE).toEqual([]);
    expect(sandboxes()).toEqual([]);
  });
});
