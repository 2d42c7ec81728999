// `tsvm boot` with real kernels: what reaches the user, what the devices do, and how a VM ends.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { awaitAgent } from '../../src/agent-client/await-agent.ts';
import { MIB } from '../../src/lib/units.ts';
import { AGENT_RPC_PORT } from '../../src/protocol/agent-service.ts';
import type { StartReport } from '../../src/vmm/timeline.ts';
import { boot, INITRAMFS, KERNEL, processesNaming, QUIET, start, TSVM, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

describe('a guest', () => {
  test('sees the CPUs and the memory that it was given, and ends with status 0', async () => {
    const script = 'echo "cpus=$(nproc) release=$(uname -r)"; grep MemTotal /proc/meminfo; cat /proc/cmdline';
    const report = files.path('report.json');

    const { status, stdout } = await boot(
      files.initramfs('sizes', script),
      '--cpus',
      '2',
      '--memory',
      '128M',
      '--report',
      report,
    );

    expect(stdout).toMatch(/cpus=2 release=6\.\d+\.\d+-tskata/);
    expect(Number(/MemTotal: +(\d+) kB/.exec(stdout)?.[1])).toBeGreaterThan(90 * 1024);
    expect(status).toBe(0);
    const { marks, exits }: StartReport = JSON.parse(readFileSync(report, 'utf8'));
    expect(marks.map(({ name }) => name)).toEqual(['command-start', 'vm-start', 'kernel-entry']);
    expect(exits['KVM_EXIT_IO']).toBeGreaterThan(0);
    expect(readFileSync(files.path('report.svg'), 'utf8')).toContain('<svg');
  });

  test('reads what is typed on its serial console', async () => {
    const initrd = files.initramfs('typed', 'echo READY; read line; echo "line=$line"');
    const child = start(
      ['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, '--timeout', '120'],
      'pipe',
    );
    await child.printed('READY');
    child.stdin?.write('typed by a person\n');

    const { stdout } = await child.ended;

    expect(stdout).toContain('line=typed by a person');
  });

  test('writes to a disk, and cannot write to a read-only one', async () => {
    const disk = files.path('disk.raw');
    const readOnly = files.path('readonly.raw');
    writeFileSync(disk, new Uint8Array(1 << 20));
    writeFileSync(readOnly, Buffer.from('the second disk\n'.padEnd(4096, '.')));
    const script = `printf 'written by the guest' | dd of=/dev/vda bs=512 seek=3 conv=fsync,notrunc
head -c 15 /dev/vdb; echo; cat /sys/block/vda/size /sys/block/vdb/ro /sys/block/vda/serial
dd if=/dev/zero of=/dev/vdb bs=512 count=1 || echo refused`;

    const { stdout } = await boot(
      files.initramfs('disks', script),
      '--disk',
      `${disk},id=first`,
      '--disk',
      `${readOnly},ro`,
    );

    expect(readFileSync(disk).subarray(1536, 1556).toString()).toBe('written by the guest');
    expect(stdout).toContain('the second disk');
    expect(stdout).toMatch(/2048\s+1\s+first/);
    expect(stdout).toContain('refused');
    expect(readFileSync(readOnly, 'latin1')).toMatch(/^the second disk/);
  });

  test('shares a folder with the host, both ways', async () => {
    const shared = files.path('shared');
    mkdirSync(shared);
    writeFileSync(`${shared}/from-host`, 'host');
    const script =
      'mount -t virtiofs data /mnt; echo "read=$(cat /mnt/from-host)"; echo -n guest > /mnt/from-guest; sync';

    const { stdout } = await boot(files.initramfs('share', script), '--share', `data=${shared}`);

    expect(stdout).toContain('read=host');
    expect(readFileSync(`${shared}/from-guest`, 'utf8')).toBe('guest');
  });

  test('has entropy from the host', async () => {
    const script = 'cat /sys/class/misc/hw_random/rng_current 2>/dev/null; head -c 32 /dev/urandom | wc -c';

    const { stdout } = await boot(files.initramfs('entropy', script));

    expect(stdout).toContain('32');
  });

  test('has an agent that answers on vsock, idles small, costs few exits, and ends the VM when asked', async () => {
    const vsock = files.path('v.sock');
    const report = files.path('exits.json');
    const server = createServer().listen(`${vsock}_${AGENT_RPC_PORT}`);
    const devices = ['--no-serial', '--vsock', `3=${vsock}`, '--share', `data=${files.path('')}`];
    const images = ['--kernel', KERNEL, '--initrd', INITRAMFS, '--cmdline', 'reboot=k panic=-1 quiet 8250.nr_uarts=0'];
    const { ended } = start(['boot', ...images, ...devices, '--report', report, '--timeout', '120']);
    const { agent, details } = await awaitAgent(server, () => ({
      realtimeNs: BigInt(Date.now()) * 1_000_000n,
      entropy: new Uint8Array(32),
      sharedTag: 'data',
    }));
    const { agentResidentBytes } = await agent.call('GuestDetails', {});
    await agent.call('Shutdown', {});
    const { status } = await ended;
    server.close();

    expect(details.kernelRelease).toContain('tskata');
    expect(Number(agentResidentBytes)).toBeLessThan(2 * MIB);
    const { exits }: StartReport = JSON.parse(readFileSync(report, 'utf8'));
    expect(Object.values(exits).reduce((sum, count) => sum + count, 0)).toBeLessThan(100);
    expect(status).toBe(0);
  });
});

describe('the end of a VM', () => {
  const endless = (): string => files.initramfs('endless', 'echo READY; sleep 1000');

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends it with status %i', async (signal, expected) => {
    const child = start(['boot', '--kernel', KERNEL, '--initrd', endless(), '--cmdline', QUIET]);
    await child.printed('READY');
    child.kill(signal);

    const { status } = await child.ended;

    expect(status).toBe(expected);
  });

  test('a reader of its output that goes away ends it', async () => {
    const child = start(['boot', '--kernel', KERNEL, '--initrd', files.initramfs('chatty', 'yes'), '--cmdline', QUIET]);
    await child.printed('y');
    child.stdout?.destroy();

    const { status } = await child.ended;

    expect(status).toBe(141);
  });

  test('--timeout ends it with status 124', async () => {
    const { status, stderr } = await start(['boot', '--kernel', KERNEL, '--initrd', endless(), '--timeout', '2']).ended;

    expect(status).toBe(124);
    expect(stderr).toContain('--timeout');
  });

  test('a killed VMM leaves no process behind', async () => {
    const shared = files.path('killed');
    mkdirSync(shared);
    const child = start([
      'boot',
      '--kernel',
      KERNEL,
      '--initrd',
      endless(),
      '--cmdline',
      QUIET,
      '--share',
      `data=${shared}`,
    ]);
    await child.printed('READY');
    child.kill('SIGKILL');
    await child.ended;

    await expect.poll(() => processesNaming(shared), { timeout: 10_000 }).toEqual([]);
  });
});

describe('tsvm check', () => {
  test('says that all is well', () => {
    const output = execFileSync(TSVM, ['check', '--json'], { encoding: 'utf8' });

    expect(JSON.parse(output)).toMatchObject({ verdict: 'ok' });
  });
});
