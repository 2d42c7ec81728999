// Configuration files and annotations, as commands take and refuse them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Ended, RuntimeBed, shell } from './harness.ts';
import { ON_AGENT } from './on-agent.ts';

class ConfiguredBed extends RuntimeBed {
  constructor() {
    super(ON_AGENT);
  }

  /** A file below the bed. */
  write(name: string, text: string): string {
    const path = join(this.folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Creates the container c1. */
  async create(annotations: object, ...globals: readonly string[]): Promise<Ended> {
    const bundle = this.bundle(shell('exit 0'));
    const path = join(bundle, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8'));
    config.annotations = annotations;
    writeFileSync(path, JSON.stringify(config));
    return await this.detached([...globals, 'create', '--bundle', bundle, 'c1']);
  }
}

describe('what cannot be', () => {
  test.each([
    ['default_vcpus = 0', 'config.toml: default_vcpus is 0; allowed is a whole number from 1 to 32'],
    ['default_vcpu = 1', 'config.toml: there is no key default_vcpu; did you mean default_vcpus?'],
    ['kernel = "/nosuch"', 'there is no file /nosuch, which is the kernel of '],
    ['a', 'config.toml, line 1, column'],
  ])('in a file is said, and leaves nothing: %s', async (line, message) => {
    await using bed = new ConfiguredBed();
    const config = bed.write('config.toml', line);

    const { status, stderr } = await bed.create({}, '--config', config);

    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(bed.leftovers()).toEqual([]);
  });

  test.each([
    [{ 'io.tskata.kernel': '/boot/vmlinux' }, 'annotation io.tskata.kernel is not allowed'],
    [{ 'io.katacontainers.config.hypervisor.kernel': '/boot/vmlinux' }, 'name kernel in enable_annotations'],
    [{ 'io.tskata.default_memory': '1' }, 'annotation io.tskata.default_memory is 1; allowed is'],
  ])('in annotations is said, and leaves nothing: %j', async (annotations, message) => {
    await using bed = new ConfiguredBed();

    const { status, stderr } = await bed.create(annotations, '--config', bed.write('config.toml', ''));

    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(bed.leftovers()).toEqual([]);
  });
});

describe('config', () => {
  test('prints a file that says the same, with the source of each value', async () => {
    await using bed = new ConfiguredBed();
    const config = bed.write('config.toml', 'default_vcpus = 3\nkernel_params = "a \\"b\\""\n');

    const printed = await bed.call(['--config', config, 'config']);
    const again = await bed.call(['--config', bed.write('again/config.toml', printed.stdout), 'config', '-f', 'json']);
    const once = await bed.call(['--config', config, 'config', '-f', 'json']);

    expect(printed.stdout).toContain(`default_vcpus = 3 # ${config}\n`);
    expect(printed.stdout).toContain('default_memory = 512 # default\n');
    expect(JSON.parse(once.stdout).default_vcpus).toEqual({ value: 3, source: config });
    const values = (json: string): unknown[] =>
      Object.values<{ value: unknown }>(JSON.parse(json)).map((row) => row.value);
    expect(values(again.stdout)).toEqual(values(once.stdout));
  });

  test.each([
    ['default_vcpus = 3', { status: 0, stdout: '', stderr: '' }],
    ['virtio_fs_daemon = "/nosuch"', { status: 1, stdout: '', stderr: expect.stringContaining('no file /nosuch') }],
  ])('--check prints nothing, and tells by its status: %s', async (line, expected) => {
    await using bed = new ConfiguredBed();

    expect(await bed.call(['--config', bed.write('config.toml', line), 'config', '--check'])).toEqual(expected);
  });
});
