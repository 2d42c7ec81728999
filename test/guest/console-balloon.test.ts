// The virtio console and the balloon with our kernel: what reaches the user and the guest, and what memory goes to the host.
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MIB } from '../../src/lib/units.ts';
import { buildVm } from '../../src/vmm/builder.ts';
import type { VmConfig } from '../../src/vmm/config.ts';
import type { Vm } from '../../src/vmm/vm.ts';
import { KERNEL, start, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

const HVC0 = 'console=hvc0 reboot=k panic=-1 quiet';
/** A shell that carries out what it is told, and says when it is done. */
const SHELL = 'stty -echo; echo READY; while read -r line; do eval "$line"; echo "=$?="; done';
/** What polling may take on an emulated host. */
const PATIENCE = { timeout: 120_000, interval: 200 };

/** A guest in this process, with a shell on hvc0. */
class ShellGuest {
  readonly vm: Vm;
  #output = '';
  readonly #write: (text: string) => void;

  private constructor(vm: Vm) {
    this.vm = vm;
    const attachment = vm.attachConsole('hvc0', (bytes) => {
      this.#output += Buffer.from(bytes).toString('latin1');
      return undefined;
    });
    this.#write = (text) => void attachment.write(Buffer.from(text));
  }

  static async boot(config: Partial<VmConfig>, prepare: (vm: Vm) => void = () => {}): Promise<ShellGuest> {
    const vm = await buildVm(
      {
        kernelPath: KERNEL,
        initrdPath: files.initramfs('shell', SHELL),
        commandLine: HVC0,
        memoryMib: 256,
        cpus: 1,
        console: {},
        ...config,
      },
      { log: (line) => process.stderr.write(`${line}\n`) },
    );
    onTestFinished(() => vm[Symbol.asyncDispose]());
    const guest = new ShellGuest(vm);
    prepare(vm);
    vm.start();
    await guest.#printed('READY\r\n');
    return guest;
  }

  /** Runs a command line and gives what it printed. */
  async run(line: string): Promise<string> {
    this.#output = '';
    this.#write(`${line}\n`);
    await this.#printed('=0=\r\n');
    return this.#output.slice(0, -'=0=\r\n'.length).replaceAll('\r\n', '\n');
  }

  /** A line of /proc/meminfo, MiB. */
  async memory(key: string): Promise<number> {
    const line = await this.run(`grep ${key}: /proc/meminfo`);
    return Number(/(\d+) kB/.exec(line)?.[1]) / 1024;
  }

  /** Waits until the balloon holds so much, and gives what its driver says about memory then. */
  async inflated(mib: number): Promise<Readonly<Record<string, number>>> {
    await expect.poll(async () => (await this.vm.balloonStats()).actualMib, PATIENCE).toBe(mib);
    return (await this.vm.balloonStats()).statistics;
  }

  /** Guest memory that the host has given, MiB. */
  get residentMib(): number {
    return this.vm.metrics().memory.sharedBytes / MIB;
  }

  async #printed(text: string): Promise<void> {
    await expect.poll(() => this.#output, PATIENCE).toContain(text);
  }
}

/** Uses so much memory in the guest, MiB; the second lets it go again. */
const fill = (mib: number) =>
  `mount -t tmpfs -o size=100% tmpfs /mnt && dd if=/dev/zero of=/mnt/file bs=1048576 count=${mib} 2>&1`;
const useAndFree = (mib: number) => `${fill(mib)} && umount /mnt`;

describe('the virtio console', () => {
  test('is what the user sees and types on, and what a file keeps', async () => {
    const log = files.path('console.log');
    const initrd = files.initramfs('typed', 'echo READY; read line; echo "line=$line"');
    const child = start(
      [
        'boot',
        '--kernel',
        KERNEL,
        '--initrd',
        initrd,
        '--cmdline',
        HVC0,
        '--no-serial',
        '--console',
        `file=${log}`,
      ].concat('--timeout', '120'),
      'pipe',
    );
    await child.printed('READY');
    child.stdin?.write('typed by a person\n');

    const { status, stdout } = await child.ended;

    expect(stdout).toContain('line=typed by a person');
    expect(status).toBe(0);
    expect(readFileSync(log, 'latin1')).toBe(stdout);
  });

  test('has the size of its terminal from the start, and follows it', async () => {
    const guest = await ShellGuest.boot({}, (vm) => vm.resizeConsole(132, 43));

    await expect.poll(() => guest.run('stty size'), PATIENCE).toBe('43 132\n');
    guest.vm.resizeConsole(80, 25);
    await expect.poll(() => guest.run('stty size'), PATIENCE).toBe('25 80\n');
  });

  test('loses nothing of much output and much input', async () => {
    const guest = await ShellGuest.boot({});
    const text = Array.from({ length: 300 }, (_, index) => `line-${index}`).join(' ');

    const lines = await guest.run('seq 1 200');
    const echoed = await guest.run(`echo ${text}`);

    expect(lines).toBe(Array.from({ length: 200 }, (_, index) => `${index + 1}\n`).join(''));
    expect(echoed).toBe(`${text}\n`);
  });
});

describe('the balloon', () => {
  test('takes memory from the guest and gives it back, and the host has it meanwhile', async () => {
    const guest = await ShellGuest.boot({ balloon: {} });
    await guest.run(useAndFree(120));
    const before = { total: await guest.memory('MemTotal'), resident: guest.residentMib };

    guest.vm.setBalloonTarget(128);
    const statistics = await guest.inflated(128);
    const inflated = { total: await guest.memory('MemTotal'), resident: guest.residentMib };
    guest.vm.setBalloonTarget(0);
    await guest.inflated(0);
    await guest.run(useAndFree(120));

    expect(before.total - inflated.total).toBe(128);
    expect(before.resident).toBeGreaterThan(120);
    expect(inflated.resident).toBeLessThan(before.resident - 80);
    expect(statistics['total_memory_bytes']).toBe(inflated.total * MIB);
    expect(statistics['free_memory_bytes']).toBeGreaterThan(MIB);
    expect(await guest.memory('MemTotal')).toBe(before.total);
    const { counters } = guest.vm.metrics().devices.find(({ type }) => type === 'balloon') ?? {};
    expect(counters).toMatchObject({ refused_pages: 0, failed_discards: 0, inflated_pages: 128 * 256 });
  });

  test('of a guest that starts with a target is inflated by itself', async () => {
    const guest = await ShellGuest.boot({ balloon: { targetMib: 64 } });

    await guest.inflated(64);

    expect(await guest.memory('MemTotal')).toBeLessThan(256 - 64);
  });

  test('gives free memory back as it becomes free', async () => {
    const guest = await ShellGuest.boot({ balloon: { freePageReporting: true } });
    await guest.run(fill(120));
    const used = guest.residentMib;

    await guest.run('umount /mnt');

    expect(used).toBeGreaterThan(120);
    await expect.poll(() => guest.residentMib, PATIENCE).toBeLessThan(used - 90);
    expect(await guest.run('dd if=/dev/zero bs=1048576 count=50 2>/dev/null | md5sum')).toBe(
      '25e317773f308e446cc84c503a6d1f85  -\n',
    );
  });

  test('shrinks rather than that a process is killed', async () => {
    const guest = await ShellGuest.boot({ memoryMib: 160, balloon: { targetMib: 96, deflateOnOom: true } });
    await guest.inflated(96);

    await guest.run(fill(60));

    expect((await guest.vm.balloonStats()).actualMib).toBeLessThan(96);
    expect(await guest.run('dmesg | grep -c "Killed process" || true')).toBe('0\n');
  });
});
