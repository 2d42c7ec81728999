import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describedVm, mergeDescriptions } from './description.ts';
import { readDescriptionFile } from './description-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tskata-description-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('a description', () => {
  test('has defaults for all but the kernel', () => {
    expect(describedVm({ kernel: '/vmlinux' })).toEqual({
      kernelPath: '/vmlinux',
      commandLine: 'console=ttyS0 reboot=k panic=-1',
      memoryMib: 256,
      cpus: 1,
      serial: true,
      entropy: true,
      disks: [],
      nets: [],
      shares: [],
    });
  });

  test('takes devices as texts and as tables', () => {
    const vm = describedVm({
      kernel: '/k',
      initrd: '/i',
      disk: ['/a.raw,ro', { path: '/b.raw', id: 'second' }],
      share: ['data=/srv/data'],
      vsock: '3=/run/vm.sock',
      hugepages: '2M',
    });

    expect(vm).toMatchObject({
      initrdPath: '/i',
      disks: [
        { path: '/a.raw', readOnly: true },
        { path: '/b.raw', id: 'second' },
      ],
      shares: [{ tag: 'data', directory: '/srv/data' }],
      vsock: { guestCid: 3, path: '/run/vm.sock' },
      hugePages: '2M',
    });
  });

  test('has a console and a balloon with settings, without, or not at all', () => {
    const vms = [true, false, 'target=64M', { target: '64M' }].map((balloon) => describedVm({ kernel: '/k', balloon }));

    expect(vms.map(({ balloon }) => balloon)).toEqual([{}, undefined, { targetMib: 64 }, { targetMib: 64 }]);
    expect(describedVm({ kernel: '/k', console: 'file=/log' })).toMatchObject({
      console: { path: '/log' },
      commandLine: 'console=hvc0 reboot=k panic=-1',
    });
  });

  test('is refused without a kernel', () => {
    expect(() => describedVm({})).toThrow('kernel is missing');
  });
});

describe('a configuration file', () => {
  test('has the same keys as TOML and as JSON', () => {
    const toml = file(
      'vm.toml',
      'kernel = "/k"\ncpus = 2\nserial = false\ndisk = ["/a", { path = "/b", ro = true }]\n',
    );
    const json = file('vm.json', '{"kernel":"/k","cpus":2,"serial":false,"disk":["/a",{"path":"/b","ro":true}]}');

    expect(readDescriptionFile(toml)).toEqual(readDescriptionFile(json));
    expect(readDescriptionFile(json).cpus).toBe(2);
  });

  test('comes below the flags; lists are joined', () => {
    const merged = mergeDescriptions({ kernel: '/a', memory: '1G', disk: ['/x'] }, { kernel: '/b', disk: ['/y'] });

    expect(merged).toEqual({ kernel: '/b', memory: '1G', disk: ['/x', '/y'] });
  });

  test.each([
    ['cpu = 2', 'key is "cpu"; allowed is kernel, initrd'],
    ['cpus = true', "cpus is true; allowed is a number, a flag's text or a table"],
    ['disk = "/a"', 'disk is "/a"; allowed is a list of flags\' texts or tables'],
    ['disk = [[1]]', "allowed is a list of flags' texts or tables"],
    ['kernel =', 'unreadable'],
  ])('is refused for %j', (text, message) => {
    expect(() => readDescriptionFile(file('wrong.toml', text))).toThrow(message);
  });

  test('is refused when it is not there', () => {
    expect(() => readDescriptionFile(join(folder, 'none.toml'))).toThrow(/none\.toml is unreadable \(ENOENT/);
  });
});
