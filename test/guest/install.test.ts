// What `tskata install` writes into /etc is what the engines read.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BUILD } from './tsvm-harness.ts';

/** Elsewhere /etc is somebody's own. */
const emulated = process.env['TSKATA_INSIDE_HOST'] === '1';

const FILES = {
  docker: '/etc/docker/daemon.json',
  podman: '/etc/containers/containers.conf.d/tskata.conf',
  containerd: '/etc/containerd/config.toml',
} as const;

const folder = mkdtempSync(join(tmpdir(), 'tskata-install-'));
/** Known by nobody before. */
const program = join(folder, 'tskata');
/** Beside what that leads to. */
let shim = '';

function output(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' });
}

function tskata(...args: readonly string[]): string {
  return output(program, ...args);
}

describe.runIf(emulated)('tskata install', () => {
  const saved = new Map<string, string>();
  beforeAll(() => {
    symlinkSync(join(BUILD, 'bin/tskata'), program);
    shim = join(dirname(realpathSync(program)), 'containerd-shim-tskata-v2');
    for (const [engine, path] of Object.entries(FILES)) {
      saved.set(path, readFileSync(path, 'utf8'));
      tskata('uninstall', engine);
    }
  });
  afterAll(() => {
    for (const [path, text] of saved) writeFileSync(path, text);
    rmSync(folder, { recursive: true, force: true });
  });

  test('docker: dockerd accepts it', () => {
    const before = existsSync(FILES.docker);

    tskata('install', 'docker');

    expect(() => output('dockerd', '--validate', '--config-file', FILES.docker)).not.toThrow();
    expect(JSON.parse(readFileSync(FILES.docker, 'utf8')).runtimes.tskata).toEqual({ runtimeType: shim });
    tskata('uninstall', 'docker');
    expect([before, existsSync(FILES.docker)]).toEqual([false, false]);
  });

  test('podman: it knows the runtime, and calls it', () => {
    tskata('install', 'podman');

    const runtime = JSON.parse(output('podman', '--runtime=tskata', 'info', '--format={{json .Host.OCIRuntime}}'));

    expect(runtime).toMatchObject({ name: 'tskata', path: program });
    expect(runtime.version).toContain('tskata version');
    tskata('uninstall', 'podman');
    expect(existsSync(FILES.podman)).toBe(false);
  });

  test('containerd: its configuration has the handler, and what it had', () => {
    const before = readFileSync(FILES.containerd, 'utf8');

    tskata('install', 'containerd');

    const dump = output('containerd', 'config', 'dump');
    expect(dump).toContain(`runtime_type = "${shim}"`);
    expect(dump).toContain('pod_annotations = ["io.tskata.*_*"');
    expect(dump).toContain('conf_dir = "/etc/cni/net.d"');
    tskata('uninstall', 'containerd');
    expect(readFileSync(FILES.containerd, 'utf8')).toBe(before);
  });
});
