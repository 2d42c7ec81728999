// The machine as kernels find it: Debian's own, of two releases, with their modules; and its sizes, with ours.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildVm, restoreVm, type VmConfig } from '../../src/index.ts';
import { runVm } from './library-harness.ts';
import { BUILD, boot, QUIET, start, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const STOCK = join(BUILD, 'guest/stock');
/** They unpack themselves and look for much that is not there: some twenty seconds under emulation, more on a busy machine. */
const STOCK_TIMEOUT_MS = 400_000;

/** Loads what the distribution's kernel has as modules, then runs a script. */
function stockInitramfs(kernel: string, script: string): string {
  const load = 'for module in $(cat /modules/order); do insmod /modules/$module; done';
  return files.initramfs(kernel, `${load}\n${script}`, { modules: join(STOCK, kernel, 'modules') });
}

function stockVm(kernel: string, script: string, parameters = ''): VmConfig {
  return {
    kernelPath: join(STOCK, kernel, 'bzImage'),
    initrdPath: stockInitramfs(kernel, script),
    commandLine: `${QUIET} ${parameters}`,
    memoryMib: 256,
    cpus: 2,
    serial: true,
    disks: [{ path: files.path('disk'), readOnly: true, id: 'disk' }],
    entropy: true,
  };
}

/** `tsvm boot` of a stock kernel with two CPUs and a disk. */
function bootStock(kernel: string, script: string): ReturnType<typeof boot> {
  const images = ['--kernel', join(STOCK, kernel, 'bzImage'), '--initrd', stockInitramfs(kernel, script)];
  const machine = ['--cmdline', QUIET, '--cpus', '2', '--memory', '256M', '--disk', `${files.path('disk')},ro`];
  return start(['boot', ...images, ...machine, '--timeout', '390']).ended;
}

const SHOW_MACHINE = `echo "release=$(uname -r) cpus=$(nproc) disk=$(head -c 8 /dev/vda)"
echo "entropy=$(cat /sys/class/misc/hw_random/rng_current)"`;

beforeAll(() => writeFileSync(files.path('disk'), 'the disk'.padEnd(4096, '.')));

describe('Debian 12 (6.1)', { timeout: STOCK_TIMEOUT_MS }, () => {
  test('its cloud kernel finds processors and devices, and switches the machine off', async () => {
    const { status, stdout } = await bootStock('6.1', `${SHOW_MACHINE}\npoweroff -f`);

    expect(stdout).toMatch(/release=6\.1\.\d+-\d+-cloud-amd64 cpus=2 disk=the disk\r?\n/);
    expect(stdout).toContain('entropy=virtio_rng.0');
    expect(status).toBe(0);
  });

  test('its generic kernel, without ACPI, hears Ctrl+Alt+Del and reboots', async () => {
    const script = `echo 0 > /proc/sys/kernel/ctrl-alt-del
trap 'echo HEARD; reboot -f' INT
echo "cpus=$(nproc) READY"
while true; do sleep 0.2; done`;
    const parameters = 'acpi=off i8042.nopnp i8042.dumbkbd i8042.noaux';
    await using guest = await runVm((connections) => buildVm(stockVm('6.1-generic', script, parameters), connections));
    await guest.printed('cpus=2 READY');
    guest.vm.shutdown('ctrl-alt-del');

    const reason = await guest.vm.stopped;

    expect(guest.output).toContain('HEARD');
    expect(reason.kind).toBe('guest-reset');
  });
});

describe('Debian 13 (6.12)', { timeout: STOCK_TIMEOUT_MS }, () => {
  test('its cloud kernel sees the power button, draws new random numbers after a restore, and switches the machine off', async () => {
    const script = `${SHOW_MACHINE}
exec 3< /dev/input/event0
echo READY
echo "event=$(head -c 24 <&3 | tail -c 8 | hexdump -v -e '8/1 "%02x"')"
read go
dmesg | grep -o 'random: crng reseeded.*'
poweroff -f`;
    const snapshot = files.path('snapshot');
    rmSync(snapshot, { recursive: true, force: true });
    {
      await using guest = await runVm((connections) => buildVm(stockVm('6.12', script), connections));
      await guest.printed('READY');
      guest.vm.shutdown('acpi');
      // struct input_event: EV_KEY, KEY_POWER, pressed.
      await guest.printed('event=0100740001000000');
      await guest.vm.snapshot(snapshot, { resume: false });
      expect(guest.output).toMatch(/release=6\.12\.\d+\S*-cloud-amd64 cpus=2 disk=the disk\r?\n/);
      expect(guest.output).toContain('entropy=virtio_rng.0');
    }
    await using clone = await runVm((connections) => restoreVm(snapshot, {}, connections));
    clone.type('go\n');

    const reason = await clone.vm.stopped;

    expect(clone.output).toContain('random: crng reseeded due to virtual machine fork');
    expect(reason.kind).toBe('guest-power-off');
  });

  test('its generic kernel panics, which ends the VM with the reason', async () => {
    const script = `${SHOW_MACHINE}\necho c > /proc/sysrq-trigger`;

    const { status, stdout, stderr } = await bootStock('6.12-generic', script);

    expect(stdout).toMatch(/release=6\.12\.\d+\S*-amd64 cpus=2 disk=the disk\r?\n/);
    expect(stdout).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(stderr).toContain('the guest kernel panicked');
    expect(status).toBe(1);
  });
});

describe('sizes', () => {
  const SHOW_SIZES = `echo "cpus=$(nproc) online=$(cat /sys/devices/system/cpu/online)"
for cpu in /sys/devices/system/cpu/cpu[0-9]*/topology; do echo "core=$(cat $cpu/core_cpus_list) package=$(cat $cpu/package_cpus_list)"; done
echo "clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
grep 'System RAM' /proc/iomem; grep MemTotal /proc/meminfo`;

  const LOW_RAM = '00001000-0009ffff : System RAM';

  test.each([
    { cpus: 2, memory: '64M', ram: [LOW_RAM, '00100000-03ffffff : System RAM'], totalMib: 64 },
    { cpus: 4, memory: '64M', ram: [LOW_RAM, '00100000-03ffffff : System RAM'], totalMib: 64 },
    { cpus: 8, memory: '64M', ram: [LOW_RAM, '00100000-03ffffff : System RAM'], totalMib: 64 },
    {
      cpus: 1,
      memory: '5G',
      ram: [LOW_RAM, '00100000-bfffffff : System RAM', '100000000-17fffffff : System RAM'],
      totalMib: 5120,
    },
  ])('$cpus CPUs and $memory', async ({ cpus, memory, ram, totalMib }) => {
    const initrd = files.initramfs('sizes', SHOW_SIZES);

    const { status, stdout } = await boot(initrd, '--cpus', String(cpus), '--memory', memory);

    const lines = stdout.replaceAll('\r', '').split('\n');
    const last = cpus - 1;
    expect(lines).toContain(`cpus=${cpus} online=${cpus === 1 ? '0' : `0-${last}`}`);
    const ids = Array.from({ length: cpus }, (_, id) => id);
    expect(lines.filter((line) => line.startsWith('core='))).toEqual(
      ids.map((id) => `core=${id} package=${cpus === 1 ? '0' : `0-${last}`}`),
    );
    expect(lines).toContain('clock=kvm-clock');
    expect(lines.filter((line) => line.endsWith('System RAM'))).toEqual(ram);
    expect(Number(/MemTotal: +(\d+) kB/.exec(stdout)?.[1]) / 1024).toBeGreaterThan(totalMib * 0.75);
    expect(status).toBe(0);
  });
});
