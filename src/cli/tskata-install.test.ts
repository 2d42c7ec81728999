import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const PROGRAM = join(import.meta.dirname, '../bin/tskata.ts');
const TSKATA = '/opt/tskata/bin/tskata';
const SHIM = '/opt/tskata/bin/containerd-shim-tskata-v2';
const FILES = {
  docker: 'etc/docker/daemon.json',
  podman: 'etc/containers/containers.conf.d/tskata.conf',
  containerd: 'etc/containerd/config.toml',
  crio: 'etc/crio/crio.conf.d/50-tskata.conf',
} as const;
/** Flags of those that could call the shim. */
const BARE = { docker: ['--no-shim'], podman: [], containerd: ['--no-shim'], crio: [] } as const;

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tskata-install-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function tskata(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

const install = (engine: string, ...more: string[]): ReturnType<typeof tskata> =>
  tskata('install', '--root', root, '--path', TSKATA, ...more, engine);
const uninstall = (engine: string, ...more: string[]): ReturnType<typeof tskata> =>
  tskata('uninstall', '--root', root, ...more, engine);

function write(path: string, text: string, mode = 0o644): string {
  const whole = join(root, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text, { mode });
  return whole;
}

function link(target: string, path: string): string {
  const whole = join(root, path);
  mkdirSync(dirname(whole), { recursive: true });
  symlinkSync(target, whole);
  return whole;
}

const isOfTskata = (text: string): unknown => JSON.parse(text).runtimes.tskata;

describe('tskata install', () => {
  test.each(Object.keys(FILES) as (keyof typeof FILES)[])(
    '%s shows what it writes, writes it once, and uninstall removes it',
    (engine) => {
      const path = join(root, FILES[engine]);
      const call = (): ReturnType<typeof tskata> => install(engine, ...BARE[engine]);

      const [first, written, second] = [call(), readFileSync(path, 'utf8'), call()];
      const [same, gone, nothing] = [readFileSync(path, 'utf8'), uninstall(engine), uninstall(engine)];

      expect(first).toMatchObject({ status: 0, stderr: '' });
      expect(first.stdout).toMatch(new RegExp(`^--- /dev/null\n\\+\\+\\+ ${path}\n@@ [^]*\nwritten: ${path}\nnext: `));
      expect(written).toContain(TSKATA);
      expect([second.status, second.stdout, same]).toEqual([0, `nothing to change in ${path}\n`, written]);
      expect([gone.status, existsSync(path), readdirSync(dirname(path))]).toEqual([0, false, []]);
      expect([nothing.status, nothing.stdout]).toEqual([0, `nothing to change in ${path}\n`]);
    },
  );

  test('shows lines that change, and keeps mode and link of the file', () => {
    const target = write('data/daemon.json', '{\n  "debug": true\n}\n');
    chmodSync(target, 0o640);
    link('../../data/daemon.json', FILES.docker);

    const { stdout } = install('docker');

    expect(stdout).toContain('-  "debug": true\n+  "debug": true,\n');
    expect(lstatSync(join(root, FILES.docker)).isSymbolicLink()).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o640);
    uninstall('docker');
    expect(readFileSync(target, 'utf8')).toBe('{\n  "debug": true\n}\n');
  });

  test('with --dry-run shows it and writes nothing', () => {
    const { status, stdout } = install('containerd', '--dry-run');

    expect([status, existsSync(join(root, 'etc'))]).toEqual([0, false]);
    expect(stdout).toMatch(/^\+BinaryName = "\/opt\/tskata\/bin\/tskata"$/m);
    expect(stdout).toMatch(/\nnothing is written \(--dry-run\)\n$/);
  });

  test('shows the new text where there is no diff', () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [PROGRAM, 'install', '--root', root, '--path', TSKATA, 'crio'],
      { encoding: 'utf8', env: { PATH: '/nowhere' } },
    );

    expect(status).toBe(0);
    expect(stdout).toContain(`, whole:\n${readFileSync(join(root, FILES.crio), 'utf8')}`);
  });

  test('takes another file', () => {
    install('docker', '--config', '/home/u/daemon.json');

    expect(readFileSync(join(root, 'home/u/daemon.json'), 'utf8')).toContain(TSKATA);
  });

  test('prints the RuntimeClass of Kubernetes, with the overhead that is configured', () => {
    const config = write('config.toml', 'host_memory_overhead = 300\n');

    const { stdout } = tskata('--config', config, 'install', 'kubernetes');

    expect(stdout).toContain('kind: RuntimeClass\nmetadata:\n  name: tskata\nhandler: tskata\n');
    expect(stdout).toMatch(/podFixed:\n {4}memory: 300Mi\n$/);
  });

  test('writes the RuntimeClass to a file, and uninstall removes that one only', () => {
    const foreign = write('other.yaml', 'kind: Pod\n');

    install('kubernetes', '--output', '/rc.yaml');
    expect(readFileSync(join(root, 'rc.yaml'), 'utf8')).toContain('memory: 256Mi');
    uninstall('kubernetes', '--output', '/rc.yaml');
    const refused = uninstall('kubernetes', '--output', '/other.yaml');

    expect([existsSync(join(root, 'rc.yaml')), existsSync(foreign)]).toEqual([false, true]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('/other.yaml was not written by');
  });
});

describe('tskata install with the shim', () => {
  const withoutShim = /^warning: there is no containerd-shim-tskata-v2 for .* beside it: .* statistics .* of its VM/;
  const written = (engine: keyof typeof FILES): string => readFileSync(join(root, FILES[engine]), 'utf8');

  test('names the one beside the program', () => {
    write(SHIM, '', 0o755);

    const { stderr } = install('containerd');

    expect([stderr, written('containerd')]).toEqual(['', expect.stringContaining(`\nruntime_type = "${SHIM}"\n`)]);
  });

  test('finds the one beside what the program is a link to, in an image too', () => {
    write(SHIM, '', 0o755);
    write(TSKATA, '', 0o755);
    link('/opt/../opt/tskata', 'srv/current');
    link('../../srv/current/bin/tskata', 'usr/bin/tskata');

    const { stderr } = tskata('install', '--root', root, '--path', '/usr/bin/tskata', 'containerd');

    expect([stderr, written('containerd')]).toEqual(['', expect.stringContaining(`\nruntime_type = "${SHIM}"\n`)]);
  });

  test.each([
    ['is none', TSKATA, 'opt/tskata/bin/other', 0o755],
    ['is one that cannot be called', TSKATA, SHIM, 0o644],
    ['is that of another program', '/opt/tskata/bin/tskata-new', SHIM, 0o755],
  ])('is without and says so where there %s', (_name, path, file, mode) => {
    write(file, '', mode);

    const { stderr } = tskata('install', '--root', root, '--path', path, 'containerd');

    expect(stderr).toMatch(withoutShim);
    expect(written('containerd')).toContain(`BinaryName = "${path}"`);
  });

  test('is without where links go round in circles', () => {
    link('/b', 'a');
    link('/a', 'b');

    expect(tskata('install', '--root', root, '--path', '/a/tskata', 'containerd').stderr).toMatch(withoutShim);
  });

  test('is without where --no-shim says so, and does not warn', () => {
    write(SHIM, '', 0o755);

    const { stderr } = install('containerd', '--no-shim');

    expect([stderr, written('containerd')]).toEqual(['', expect.stringContaining(`BinaryName = "${TSKATA}"`)]);
  });

  test('asks the dockerd of this machine for its version, and nobody for that of an image', () => {
    const [program, shim] = [write(TSKATA, '', 0o755), write(SHIM, '', 0o755)];
    const env = { ...process.env, PATH: `${join(root, 'bin')}:${process.env['PATH']}` };
    const call = (version: string, ...more: string[]): string => {
      write('bin/dockerd', `#!/bin/sh\necho "Docker version ${version}, build a72d7cd"\n`, 0o755);
      return spawnSync(process.execPath, [PROGRAM, 'install', ...more, 'docker'], { encoding: 'utf8', env }).stderr;
    };
    const here = ['--path', program, '--config', join(root, FILES.docker)];

    expect(call('26.1.5+dfsg1', ...here)).toBe('');
    expect(isOfTskata(written('docker'))).toEqual({ runtimeType: shim });
    expect(call('20.10.24+dfsg1', ...here)).toContain('dockerd 20.10.24 takes no shim');
    expect(isOfTskata(written('docker'))).toEqual({ path: program });
    expect(call('26.1.5', '--root', root, '--path', TSKATA)).toMatch(/its version is not known here/);
    expect(isOfTskata(written('docker'))).toEqual({ path: TSKATA });
  });
});

describe('tskata install refuses', () => {
  test('a broken file, and leaves it', () => {
    const path = write(FILES.docker, '{ nonsense');

    const { status, stderr } = install('docker');

    expect([status, readFileSync(path, 'utf8')]).toEqual([1, '{ nonsense']);
    expect(stderr).toMatch(/daemon\.json is not JSON: .*correct it first/);
  });

  test('a file that is not text', () => {
    writeFileSync(write(FILES.containerd, ''), Buffer.from([0x61, 0xff]));

    expect(install('containerd').stderr).toMatch(/cannot read .*config\.toml/);
  });

  test('a place where nobody may write, and says so', () => {
    const { status, stderr } = tskata('install', '--path', '/bin/sh', '--config', '/sys/kernel/tskata.json', 'docker');

    expect(status).toBe(1);
    expect(stderr).toMatch(/cannot write \/sys\/kernel\/tskata\.json: E(ACCES|PERM).*this takes the rights of root/);
  });

  test('a link out of the root', () => {
    symlinkSync('/etc', join(root, 'etc'));

    const { status, stderr } = install('crio');

    expect(status).toBe(1);
    expect(stderr).toMatch(/leads to \/etc, which is not below --root/);
  });

  test.each([
    [['--path', 'bin/tskata', 'docker'], /engines need an absolute path/],
    [['--path', '/nonexistent', 'docker'], /--path \/nonexistent: ENOENT/],
    [['--path', '/etc', 'docker'], /--path \/etc: not a program/],
    [['--root', '/nonexistent', 'docker'], /--root \/nonexistent: ENOENT/],
    [['--output', '/x', 'docker'], /--output is for kubernetes/],
    [['--config', '/x', 'kubernetes'], /kubernetes has no --config/],
    [['--no-shim', 'podman'], /--no-shim is for docker and containerd: podman calls no shim/],
    [['--no-shim', 'kubernetes'], /--no-shim is for docker and containerd/],
    [['lxc'], /there is no engine .*lxc.*one of docker, podman, containerd, crio, kubernetes/],
  ])('%j', (args, message) => {
    const { status, stderr } = tskata('install', ...args);

    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });
});
