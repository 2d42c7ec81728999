import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultConfig } from '../oci/default-config.ts';
import { findInstallation } from './installation.ts';
import { planSandbox, type SandboxPlan } from './sandbox-plan.ts';

const INSTALLATION = findInstallation();

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sandbox-plan-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Plans the sandbox of a container with these annotations, by these configuration files. */
async function plan(
  files: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): Promise<SandboxPlan> {
  for (const [name, text] of Object.entries({ 'config.toml': '', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return await planSandbox(INSTALLATION, { ...defaultConfig(), annotations }, join(folder, 'config.toml'));
}

describe('a sandbox', () => {
  test('has the defaults where nobody says otherwise', async () => {
    const { machine, debug, dialTimeoutMs, createTimeoutMs } = await plan({});

    expect(machine).toMatchObject({
      kernelPath: INSTALLATION.kernel,
      initrdPath: INSTALLATION.initramfs,
      kernelParams: '',
      memoryMib: 512,
      cpus: 1,
      networkCards: 2,
      entropy: true,
      virtiofsCache: 'auto',
      virtiofsExtraArgs: [],
    });
    expect(machine).not.toHaveProperty('hugePages');
    expect(machine).not.toHaveProperty('virtiofsd');
    expect({ debug, dialTimeoutMs, createTimeoutMs }).toEqual({
      debug: false,
      dialTimeoutMs: 120_000,
      createTimeoutMs: 240_000,
    });
  });

  test('has what files say, and annotations over them', async () => {
    const { machine, debug, dialTimeoutMs, createTimeoutMs } = await plan(
      {
        'config.toml': 'default_memory = 600\nvirtio_rng = false\nenable_debug = true\nenable_hugepages = true',
        'config.d/a.toml': `virtio_fs_cache = "never"\nvirtio_fs_extra_args = ["-x"]\ndial_timeout = 90
create_container_timeout = 100\nvirtio_fs_daemon = "${process.execPath}"`,
      },
      { 'io.tskata.default_memory': '700', 'io.tskata.kernel_params': 'panic=5' },
    );

    expect(machine).toMatchObject({
      memoryMib: 700,
      kernelParams: 'panic=5',
      networkCards: 2,
      entropy: false,
      hugePages: '2M',
      virtiofsd: process.execPath,
      virtiofsCache: 'never',
      virtiofsExtraArgs: ['-x'],
    });
    expect({ debug, dialTimeoutMs, createTimeoutMs }).toEqual({
      debug: true,
      dialTimeoutMs: 90_000,
      createTimeoutMs: 100_000,
    });
  });

  test('has the size of its limits', async () => {
    const { machine } = await plan({}, { 'io.kubernetes.cri.sandbox-memory': String(64 * 2 ** 20) });

    expect(machine.memoryMib).toBe(97);
  });

  test('may grow up to what files and annotations say', async () => {
    const { machine } = await plan(
      { 'config.toml': 'default_maxmemory = 900' },
      { 'io.tskata.default_maxmemory': '800' },
    );

    expect(machine).toMatchObject({ memoryMib: 512, maxMemoryMib: 800 });
    expect(machine.maxCpus).toBeGreaterThanOrEqual(machine.cpus);
  });

  test('in huge pages of the pool stays as it is', async () => {
    const { machine } = await plan({ 'config.toml': 'default_maxmemory = 900\nenable_hugepages = true' });

    expect(machine).toMatchObject({ memoryMib: 512, maxMemoryMib: 512 });
  });

  test.each(['kernel', 'initrd', 'virtio_fs_daemon'])(
    'is refused when the %s that somebody names is not there',
    async (key) => {
      await expect(plan({ 'config.toml': `${key} = "/nosuch"` })).rejects.toThrow(
        `there is no file /nosuch, which is the ${key} of ${join(folder, 'config.toml')}`,
      );
    },
  );
});
