import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { podman } from './podman.ts';
import { PROGRAM, setup, throughLife } from './testing/files.ts';

const KVM = ['kata', 'kata-runtime', 'kata-qemu', 'kata-fc', 'krun'];

const engineTable = (files: Readonly<Record<string, string>>): Record<string, unknown> =>
  parse(podman.install({ path: '/f', text: undefined }, setup(files)).text ?? '')['engine'] as Record<string, unknown>;

describe('podman', () => {
  test.each([undefined, '', '# mine\n[network]\nx = 1\n', '[containers]\nlog_driver = "k8s-file"'])(
    'comes and goes in %j',
    (before) => {
      const [once, twice, after] = throughLife(podman, before);

      expect(parse(once ?? '')).toMatchObject({ ...parse(before ?? ''), engine: { runtimes: { tskata: [PROGRAM] } } });
      expect([twice, after]).toEqual([once, before]);
    },
  );

  test('is in the lists of what podman asks for by name, with those that podman knows', () => {
    const engine = engineTable({});

    expect(engine['runtime_supports_kvm']).toEqual([...KVM, 'tskata']);
    expect(engine['runtime_supports_json']).toEqual(expect.arrayContaining(['crun', 'runc', 'tskata']));
    expect(engine).not.toHaveProperty('runtime_supports_nocgroups');
  });

  test('keeps what other files say of the lists', () => {
    const engine = engineTable({
      '/etc/containers/containers.conf': '[engine]\nruntime_supports_json = ["mine"]\n',
      '/etc/containers/containers.conf.d/a.conf': '[engine]\nruntime_supports_json = ["more", {append=true}]\n',
      '/etc/containers/containers.conf.d/b.conf': '[engine]\nruntime_supports_kvm = ["tskata", "other"]\n',
    });

    expect(engine['runtime_supports_json']).toEqual(['mine', 'more', 'tskata']);
    expect(engine['runtime_supports_kvm']).toEqual(['tskata', 'other']);
  });

  test.each([
    ['[engine]\nruntime = "crun"\n', /^\/f cannot be added to .*\[engine\]\nruntime_supports_json = /s],
    ['[engine.runtimes]\ntskata = ["/old"]\n', /^\/f has a runtime tskata already/],
    ['[engine\n', /configuration file \/f, line 1/],
    ['# tskata install: begin\n[engine]\n', /have a begin and no end/],
  ])('refuses %j and says why', (text, message) => {
    expect(() => podman.install({ path: '/f', text }, setup())).toThrow(message);
  });

  test('has nothing to change on the emulated host', () => {
    const path = join(import.meta.dirname, '../../images/host/etc/containers/containers.conf.d/tskata.conf');
    const text = readFileSync(path, 'utf8');

    expect(podman.install({ path, text }, setup()).text).toBe(text);
  });
});
