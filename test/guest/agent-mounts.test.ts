// Mounts of containers by the guest's kernel, on a shared folder of the host: what a machine without a VM cannot show.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, stdioRequest, uniqueId } from '../agent/harness.ts';
import { type AgentGuest, type AgentVm, BOX, ROOTS_PATH, startAgentVm } from './agent-guest.ts';
import { useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const MAPPING = [{ containerID: 0, hostID: 1000, size: 1 }];
const IDS = { uidMappings: MAPPING, gidMappings: MAPPING };
let machine: AgentVm;
let guest: AgentGuest;

beforeAll(async () => {
  const disk = files.path('disk.img');
  mkdirSync(files.path('content'));
  writeFileSync(files.path('content/on-disk'), 'disk\n');
  execFileSync('truncate', ['-s', '8M', disk]);
  execFileSync('mkfs.ext4', ['-q', '-d', files.path('content'), disk]);
  machine = await startAgentVm(files, { disks: [{ path: disk }] });
  guest = machine.guest;
  mkdirSync(join(machine.roots, 'volume/sub'), { recursive: true });
  writeFileSync(join(machine.roots, 'volume/sub/file'), 'shared\n');
  writeFileSync(join(machine.roots, BOX, 'etc/in-image'), 'image\n');
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
});

/** Makes a container with these mounts besides the usual ones, and runs a script in it. @returns the lines it printed */
async function lines(
  script: string,
  mounts: readonly object[],
  linux: object = {},
  user: object = { uid: 0, gid: 0 },
): Promise<string[]> {
  const containerId = uniqueId();
  await guest.agent.call('CreateContainer', {
    containerId,
    ociConfigJson: JSON.stringify(config(['sleep', '100000'], { mounts: [...config([]).mounts, ...mounts], linux })),
    rootfsPath: `${ROOTS_PATH}/${BOX}`,
    stdio: stdioRequest({ stdout: false, stderr: false }),
    seccomp: undefined,
    bundle: '',
  });
  await guest.agent.call('StartContainer', { containerId });
  const printed = await guest.exec(containerId, ['sh', '-c', `exec 2>&1; ${script}`], { user });
  await guest.agent.call('DeleteContainer', { containerId, force: true });
  return printed.trimEnd().split('\n');
}

const volume = (...options: readonly string[]) => ({
  destination: '/data',
  type: 'bind',
  source: `${ROOTS_PATH}/volume`,
  options,
});

describe('in a VM', { timeout: 120_000 }, () => {
  test('the usual mounts stand, and the root is the shared folder', async () => {
    const found = await lines(
      'grep " / " /proc/mounts; ls /dev /proc/1/ns >/dev/null && stat -f -c %T /dev /proc /sys',
      [],
    );

    expect(found[0]).toMatch(/^\S+ \/ virtiofs rw/);
    expect(found.slice(1)).toEqual(['tmpfs', 'proc', 'sysfs']);
  });

  test('a volume of the host is bound with its options', async () => {
    expect(
      await lines('cat /data/sub/file; touch /data/x; grep " /data " /proc/mounts', [volume('rbind', 'rro', 'noexec')]),
    ).toEqual([
      'shared',
      'touch: /data/x: Read-only file system',
      expect.stringMatching(/ \/data virtiofs ro,noexec,relatime/),
    ]);
  });

  test('a tmpfs begins with what the shared image has', async () => {
    const mount = { destination: '/etc', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'size=4m'] };

    expect(await lines('cat /etc/in-image; echo new > /etc/in-image; cat /etc/in-image', [mount])).toEqual([
      'image',
      'new',
    ]);
  });

  test('a disk is mounted from its device', async () => {
    const disk = { destination: '/disk', type: 'ext4', source: '/dev/vda', options: ['ro', 'noload'] };
    const devices = [{ allow: true, access: 'rwm' }];

    expect(await lines('cat /disk/on-disk; stat -c %u /disk/on-disk', [disk], { resources: { devices } })).toEqual([
      'disk',
      '0',
    ]);
  });

  test("the guest's files are id-mapped, and those of the host as its virtiofsd can", async () => {
    const ofGuest = { destination: '/run/id', type: 'bind', source: '/dev/shm', options: ['bind'], ...IDS };
    const script = 'stat -c %u:%g /run/id /data/sub/file; touch /data/sub/new; stat -c %u:%g /plain/sub/new';
    const plain = { ...volume('bind'), destination: '/plain' };

    const found = await lines(script, [ofGuest, { ...volume('bind'), ...IDS }, plain], {}, { uid: 1000, gid: 1000 });

    expect(found).toEqual(['1000:1000', '1000:1000', '0:0']);
  });

  test("a user namespace has devices, volumes and the guest's sysfs", async () => {
    const mapping = [{ containerID: 0, hostID: 0, size: 65_536 }];
    const namespaces = ['user', 'pid', 'mount', 'ipc', 'uts', 'cgroup'].map((type) => ({ type }));
    const linux = { namespaces, uidMappings: mapping, gidMappings: mapping };

    const found = await lines(
      'echo x > /dev/null; cat /data/sub/file; ls -d /sys/kernel; touch /sys/kernel/x',
      [volume('rbind')],
      linux,
    );

    expect(found).toEqual(['shared', '/sys/kernel', expect.stringContaining('touch: /sys/kernel/x:')]);
  });
});
