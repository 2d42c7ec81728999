import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withAnnotations } from './annotations.ts';
import { CONFIGURATION_KEYS, defaultSettings, type Settings, withTable } from './configuration.ts';
import { loadSettings } from './configuration-load.ts';
import { findInstallation } from './installation.ts';

const INSTALLATION = findInstallation();

let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'configuration-'));
  file = join(folder, 'config.toml');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, ...lines: string[]): void {
  mkdirSync(join(folder, 'config.d'), { recursive: true });
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
}

function set(table: Record<string, unknown>): Settings {
  return withTable(defaultSettings(INSTALLATION), table, '/c.toml');
}

describe('the files', () => {
  test('of drop-ins the last one counts, key by key, and the source of each value is known', async () => {
    write('config.toml', 'default_vcpus = 2', 'default_memory = 1024', "kernel_params = 'quiet'");
    write('config.d/20-b.toml', 'default_memory = 4096');
    write('config.d/10-a.toml', 'default_memory = 2048', 'default_vcpus = 3');
    write('config.d/30-c.toml.off', 'default_vcpus = 9');

    const { values, sources } = await loadSettings(INSTALLATION, file);

    expect(values).toMatchObject({ default_vcpus: 3, default_memory: 4096, kernel_params: 'quiet', virtio_rng: true });
    expect(sources).toEqual({
      default_vcpus: join(folder, 'config.d/10-a.toml'),
      default_memory: join(folder, 'config.d/20-b.toml'),
      kernel_params: file,
    });
  });

  test('that somebody names must be there', async () => {
    await expect(loadSettings(INSTALLATION, file)).rejects.toThrow(`there is no configuration file ${file}`);
  });

  test('that are no TOML are named with the place', async () => {
    write('config.toml', 'default_vcpus = 2', 'default_memory = ');

    await expect(loadSettings(INSTALLATION, file)).rejects.toThrow(`${file}, line 2, column`);
  });

  test('that are folders are named', async () => {
    write('config.toml');
    mkdirSync(join(folder, 'config.d/x.toml'));

    await expect(loadSettings(INSTALLATION, file)).rejects.toThrow(/config\.d\/x\.toml: EISDIR/);
  });
});

describe('values', () => {
  test('without any file are the defaults, with the kernel of the installation', () => {
    const { values, sources } = defaultSettings(INSTALLATION);

    expect(values).toMatchObject({ default_vcpus: 1, default_memory: 512, kernel: INSTALLATION.kernel });
    expect(Object.keys(values)).toEqual([...CONFIGURATION_KEYS]);
    expect(sources).toEqual({});
  });

  test.each([
    ['default_vcpus', 0, 'a whole number from 1 to 32'],
    ['default_vcpus', 1.5, 'a whole number from 1 to 32'],
    ['default_vcpus', '2', 'a whole number from 1 to 32'],
    ['default_memory', 63, 'a whole number from 64 to 1048576 (MiB)'],
    ['default_memory', 2 ** 70, 'a whole number from 64 to 1048576 (MiB)'],
    ['kernel', 'vmlinux', 'an absolute path'],
    ['kernel', '/vm\0linux', 'an absolute path'],
    ['kernel', '', 'an absolute path'],
    ['kernel_params', 'a\nb', 'a text of one line'],
    ['enable_hugepages', 'yes', 'true or false'],
    ['hugepage_size', '4K', 'one of 2M, 1G, transparent'],
    ['virtio_fs_cache', 'metadata', 'one of auto, always, never'],
    ['virtio_fs_extra_args', 'a', 'a list of texts'],
    ['virtio_fs_extra_args', [1], 'a list of texts'],
    ['dial_timeout', 0, 'a whole number from 1 to 86400 (seconds)'],
    ['enable_annotations', ['path'], 'a list of keys that annotations may set: kernel, initrd'],
    ['enable_annotations', ['enable_annotations'], 'a list of keys that annotations may set: kernel, initrd'],
  ])('%s may not be %j', (key, value, allowed) => {
    expect(() => set({ [key]: value })).toThrow(`/c.toml: ${key} is `);
    expect(() => set({ [key]: value })).toThrow(`; allowed is ${allowed}`);
  });

  test.each([
    ['default_vcpu', 'did you mean default_vcpus?'],
    ['default_max_vcpus', 'did you mean default_maxvcpus?'],
    ['hypervisor', 'there are: kernel, initrd'],
    ['__proto__x', 'there are: kernel, initrd'],
    ['constructor', 'there are: kernel, initrd'],
  ])('the key %s is unknown, and a near one is named', (key, advice) => {
    expect(() => set({ [key]: 1 })).toThrow(`/c.toml: there is no key ${key}; ${advice}`);
  });
});

describe('annotations', () => {
  const defaults = defaultSettings(INSTALLATION);

  test.each([
    ['io.tskata.default_vcpus', '4', { default_vcpus: 4 }],
    ['io.tskata.kernel_params', 'panic=5', { kernel_params: 'panic=5' }],
    ['io.katacontainers.config.hypervisor.default_vcpus', '4', { default_vcpus: 4 }],
    ['io.katacontainers.config.hypervisor.default_max_vcpus', '4', { default_maxvcpus: 4 }],
    ['io.katacontainers.config.hypervisor.default_memory', '2048', { default_memory: 2048 }],
    ['io.katacontainers.config.hypervisor.kernel_params', 'panic=5', { kernel_params: 'panic=5' }],
  ])('%s sets its key', (name, text, expected) => {
    const { values, sources } = withAnnotations(defaults, { [name]: text });

    expect(values).toMatchObject(expected);
    expect(sources).toEqual({ [String(Object.keys(expected)[0])]: `annotation ${name}` });
  });

  test.each([
    ['io.tskata.enable_hugepages', 'true', { enable_hugepages: true }],
    ['io.katacontainers.config.hypervisor.enable_hugepages', 'true', { enable_hugepages: true }],
    ['io.katacontainers.config.hypervisor.kernel', '/boot/k', { kernel: '/boot/k' }],
    ['io.katacontainers.config.hypervisor.initrd', '/boot/i', { initrd: '/boot/i' }],
    ['io.katacontainers.config.hypervisor.virtio_fs_cache', 'never', { virtio_fs_cache: 'never' }],
    ['io.katacontainers.config.hypervisor.virtio_fs_daemon', '/v', { virtio_fs_daemon: '/v' }],
    ['io.katacontainers.config.hypervisor.virtio_fs_extra_args', '["-d"]', { virtio_fs_extra_args: ['-d'] }],
    ['io.katacontainers.config.runtime.create_container_timeout', '60', { create_container_timeout: 60 }],
  ])('%s is refused until the configuration allows it', (name, text, expected) => {
    const key = String(Object.keys(expected)[0]);
    const allowing = set({ enable_annotations: [key] });

    expect(() => withAnnotations(defaults, { [name]: text })).toThrow(`name ${key} in enable_annotations`);
    expect(withAnnotations(allowing, { [name]: text }).values).toMatchObject(expected);
  });

  test('of ours win over those of Kata', () => {
    const both = { 'io.tskata.default_vcpus': '2', 'io.katacontainers.config.hypervisor.default_vcpus': '4' };

    expect(withAnnotations(defaults, both).values.default_vcpus).toBe(2);
  });

  test('of Kata that mean nothing here, and those of others, are passed over', () => {
    const others = { 'io.katacontainers.config.hypervisor.machine_type': 'q35', 'org.example.x': 'y' };

    expect(withAnnotations(defaults, others)).toEqual(defaults);
  });

  test('of ours that there are not are refused, and a near one is named', () => {
    expect(() => withAnnotations(defaults, { 'io.tskata.default_memroy': '1' })).toThrow(
      'there is no annotation io.tskata.default_memroy; did you mean default_memory?',
    );
    expect(() => withAnnotations(defaults, { 'io.tskata.enable_annotations': '[]' })).toThrow('there is no annotation');
  });

  test.each(['four', '-1', '1e3', '', '0x2'])('are read as strictly as files: %j processors', (text) => {
    expect(() => withAnnotations(defaults, { 'io.tskata.default_vcpus': text })).toThrow(
      `annotation io.tskata.default_vcpus is ${JSON.stringify(text)}; allowed is a whole number from 1 to 32`,
    );
  });

  test('cannot raise a maximum of the configuration', () => {
    const limited = set({ default_maxmemory: 1024 });
    const ask = (text: string): Settings => withAnnotations(limited, { 'io.tskata.default_maxmemory': text });

    expect(ask('512').values.default_maxmemory).toBe(512);
    expect(() => ask('2048')).toThrow('is 2048; allowed is 1 to 1024');
    expect(() => ask('0')).toThrow('is 0; allowed is 1 to 1024');
  });
});

test('the page of the configuration tells every key, with its default', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
  const { values } = defaultSettings(INSTALLATION);

  const told = [...page.matchAll(/^\| `(\w+)` \| (?:`(.*?)`|the installation's) \|/gm)];

  expect(told.map(([, key]) => key)).toEqual([...CONFIGURATION_KEYS]);
  const defaults = told.filter(([, , text]) => text !== undefined);
  expect(defaults.map(([, key, text]) => [key, JSON.parse(text ?? '')])).toEqual(
    Object.entries(values).filter(([key]) => key !== 'kernel' && key !== 'initrd'),
  );
});
