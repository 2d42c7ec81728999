import { readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { SANDBOX_ID_ANNOTATION } from '../oci/cri-annotations.ts';
import { ANNOTATION_KEY_NAMES } from '../runtime/configuration.ts';
import { containerd, POD_ANNOTATIONS } from './containerd.ts';
import { PROGRAM, SHIM, setup, throughLife } from './testing/files.ts';

const V2 = 'io.containerd.grpc.v1.cri';
const V3 = 'io.containerd.cri.v1.runtime';
const handlers = (plugin: string): object => ({
  plugins: { [plugin]: { containerd: { runtimes: { tskata: { options: { BinaryName: PROGRAM } } } } } },
});
const install = (text: string | undefined, given = setup()): ReturnType<typeof containerd.install> =>
  containerd.install({ path: '/c.toml', text }, given);

describe('containerd', () => {
  test.each([
    [
      'none, and an old containerd',
      undefined,
      setup({}, 'containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20'),
      V2,
    ],
    ['none, and no containerd', undefined, setup(), V2],
    [
      'none, and a new containerd',
      undefined,
      setup({}, 'containerd github.com/containerd/containerd/v2 v2.2.1 deadbeef'),
      V3,
    ],
    ['version 1', 'disabled_plugins = []\n', setup(), 'cri'],
    ['version 2', `version = 2 # two\n[plugins."${V2}".containerd.runtimes.runc]\n  runtime_type = "x"\n`, setup(), V2],
    ['version 3', `version = 3\n[plugins]\n  [plugins.'${V3}']\n    enable_cdi = true`, setup(), V3],
  ])('comes and goes in a file of %s', (_name, before, given, plugin) => {
    const [once, twice, after] = throughLife(containerd, before, given);

    expect(parse(once ?? '')).toMatchObject(handlers(plugin));
    expect(once).toContain(before ?? '');
    expect([twice, after]).toEqual([once, before]);
  });

  test.each([
    ['containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3', V2],
    ['containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da', V2],
    ['containerd github.com/containerd/containerd/v2 v2.2.1 deadbeef', V3],
    [undefined, V2],
  ])('names the shim, without options, once, to %s', (version, plugin) => {
    const [once, twice, after] = throughLife(containerd, undefined, setup({}, version, SHIM));

    const { runtimes } = Object(parse(once ?? '')['plugins'])[plugin].containerd;
    expect(runtimes.tskata).toEqual({
      runtime_type: SHIM.path,
      privileged_without_host_devices: true,
      pod_annotations: POD_ANNOTATIONS,
    });
    expect([twice, after]).toEqual([once, undefined]);
  });

  test('names the program to one before 1.6, and says what that means', () => {
    const old = setup({}, 'containerd github.com/containerd/containerd 1.4.13~ds1 1.4.13~ds1-1~deb11u4', SHIM);

    const { text, warnings } = install(undefined, old);

    expect(text).toContain(`runtime_type = "io.containerd.runc.v2"\n`);
    expect(warnings).toEqual([
      expect.stringMatching(/^containerd 1\.4\.13 takes no shim by its path, 1\.6 does: .* statistics/),
    ]);
  });

  test('goes from the program to the shim and back in its place', () => {
    const program = install(`version = 2\n`).text;

    const shim = install(program, setup({}, undefined, SHIM)).text;

    expect(shim).not.toContain('options');
    expect(install(shim).text).toBe(program);
  });

  test('has the kind of cgroups that the default runtime has', () => {
    const runc = (name: string): string =>
      `version = 2\n[plugins."${V2}".containerd]\ndefault_runtime_name = "${name}"\n[plugins."${V2}".containerd.runtimes.runc.options]\nSystemdCgroup = true\n`;

    expect(install(runc('runc')).text?.match(/SystemdCgroup = true/g)).toHaveLength(2);
    expect(install(runc('other')).text?.match(/SystemdCgroup = true/g)).toHaveLength(1);
  });

  test('passes every key of the configuration, and no place in the VM of another', () => {
    const isPassed = (name: string): boolean => POD_ANNOTATIONS.some((pattern) => matchesGlob(name, pattern));

    expect(ANNOTATION_KEY_NAMES.filter((name) => !isPassed(`io.tskata.${name}`))).toEqual([]);
    expect(isPassed('io.katacontainers.config.hypervisor.default_vcpus')).toBe(true);
    expect(isPassed(SANDBOX_ID_ANNOTATION)).toBe(false);
  });

  test('warns of what makes it without effect', () => {
    const text = `version = 2\nimports = ["conf.d/*.toml"]\ndisabled_plugins = ["${V2}"]\n`;
    const { warnings } = install(
      text,
      setup({ '/conf.d/a.toml': `[plugins."${V2}".registry]\n`, '/conf.d/b.toml': '' }),
    );

    expect(warnings).toEqual([
      expect.stringContaining(`disabled_plugins has "${V2}"`),
      expect.stringMatching(/^\/conf\.d\/a\.toml has settings .* --config \/conf\.d\/a\.toml$/),
    ]);
  });

  test.each([
    [`version = 2\n[plugins."${V2}".containerd.runtimes.tskata]\n`, /has a runtime tskata already/],
    [`version = 2\nplugins = {"${V2}" = {}}\n`, /cannot be added to/],
    ['version = \n', /\/c\.toml, line 1/],
  ])('refuses %j and says why', (text, message) => {
    expect(() => install(text)).toThrow(message);
  });

  test('is not uninstalled while it is the default', () => {
    const text = install(`version = 2\n[plugins."${V2}".containerd]\ndefault_runtime_name = "tskata"\n`).text;

    expect(() => containerd.uninstall({ path: '/c.toml', text }, setup())).toThrow(/default_runtime_name is tskata/);
  });

  test('keeps a file that it has made when something was added', () => {
    const text = `${install(undefined).text}[debug]\nlevel = "debug"\n`;

    const after = containerd.uninstall({ path: '/c.toml', text }, setup()).text;

    expect(parse(after ?? '')).toEqual({ version: 2, debug: { level: 'debug' } });
  });

  test('has nothing to change on the emulated host', () => {
    const path = join(import.meta.dirname, '../../images/host/etc/containerd/config.toml');
    const text = readFileSync(path, 'utf8');

    const shim = { path: '/usr/local/bin/containerd-shim-tskata-v2' };

    expect(containerd.install({ path, text }, setup({}, undefined, shim)).text).toBe(text);
  });
});
