// `tskata update` of a container with a real VM: processors and memory come into the guest and go back to the host.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIB } from '../../src/lib/units.ts';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { controls } from '../oci/cgroup-cases.ts';
import { type BundleOptions, type Ended, RuntimeBed, shell } from '../oci/harness.ts';

const TSKATA = join(import.meta.dirname, '../../build/bin/tskata');
const ONLINE = '/sys/devices/system/cpu/online';
/** `host_memory_overhead` where nobody says otherwise. */
const OVERHEAD_MIB = 256;
/** What polling may take on an emulated host. */
const PATIENCE = { timeout: 120_000, interval: 500 };
/** Of a file that does not fit into what the guest starts with. */
const FILE_MIB = 200;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'growth-'));
  writeFileSync(join(folder, 'online'), '0-3\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A host with four processors, whatever it has: threads of a VM need none of their own. */
function bedOfFour(): RuntimeBed {
  const script = `mount --bind ${folder}/online ${ONLINE} && exec ${TSKATA} "$@"`;
  return new RuntimeBed({
    name: 'tskata',
    command: ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script, 'tskata'],
  });
}

/** A container that waits. @returns its bundle */
async function startContainer(bed: RuntimeBed, options: Partial<BundleOptions>): Promise<string> {
  const bundle = bed.bundle({ ...shell('exec sleep 100000'), cgroupsPath: `/${bed.name}/c1`, ...options });
  const { status, stderr } = await bed.detached(['run', '--detach', '--bundle', bundle, 'c1']);
  expect([status, stderr]).toEqual([0, '']);
  return bundle;
}

/** Makes a file of which no two MiB are the same. @returns its MD5 */
function makeLargeFile(path: string): string {
  const digest = createHash('md5');
  for (let index = 0; index < FILE_MIB; index++) {
    const piece = Buffer.alloc(MIB, `piece ${index} of a file that is larger than memory, `);
    writeFileSync(path, piece, { flag: 'a' });
    digest.update(piece);
  }
  return digest.digest('hex');
}

async function exec(bed: RuntimeBed, script: string): Promise<Ended> {
  return await bed.call(['exec', 'c1', 'sh', '-c', script]);
}

async function printed(bed: RuntimeBed, script: string): Promise<string> {
  return (await exec(bed, script)).stdout.trimEnd();
}

/** A line of the guest's /proc/meminfo, MiB. */
async function memoryMib(bed: RuntimeBed, key: string): Promise<number> {
  const line = await printed(bed, `grep ${key}: /proc/meminfo`);
  return Number(/(\d+) kB/.exec(line)?.[1]) / 1024;
}

function record(bed: RuntimeBed): ContainerRecord {
  return JSON.parse(readFileSync(join(bed.root, 'c1/state.json'), 'utf8')) as ContainerRecord;
}

/** Guest memory that the sandbox's process has from the host, MiB. */
function residentMib(bed: RuntimeBed): number {
  const status = readFileSync(`/proc/${record(bed).sandbox?.pid}/status`, 'utf8');
  return Number(/^RssShmem:\s*(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** The limit of the sandbox's control group on the host, MiB. */
function hostLimitMib(bed: RuntimeBed): number {
  return Number(controls(`/${bed.name}/c1`, 'memory.max')[0]) / MIB;
}

const limit = (mib: number): Partial<BundleOptions> => ({ resources: { memory: { limit: mib * MIB } } });

describe('update of memory', () => {
  test('gives the guest what programs can use, and takes it back to the host', async () => {
    await using bed = bedOfFour();
    const bundle = await startContainer(bed, limit(128));
    const digest = makeLargeFile(join(bundle, 'rootfs/large'));
    const before = { total: await memoryMib(bed, 'MemTotal'), record: record(bed), host: hostLimitMib(bed) };

    const grown = await bed.call(['update', '--memory', '512M', 'c1']);

    expect([grown.status, grown.stderr]).toEqual([0, '']);
    await expect.poll(() => memoryMib(bed, 'MemTotal'), PATIENCE).toBeGreaterThan(before.total + 384);
    expect(await memoryMib(bed, 'MemAvailable')).toBeGreaterThanOrEqual(512);
    const size = record(bed).vmMemoryMib;
    expect(size).toBeGreaterThanOrEqual(before.record.vmMemoryMib + 384);
    expect(hostLimitMib(bed)).toBe(size + OVERHEAD_MIB);

    // One buffer, all of it written.
    const used = await exec(bed, 'dd if=/dev/zero of=/dev/null bs=300M count=1');
    expect(used).toMatchObject({ status: 0 });
    expect(await printed(bed, 'md5sum < /large')).toBe(`${digest}  -`);
    expect(residentMib(bed)).toBeGreaterThan(before.record.vmMemoryMib + 100);

    const shrunk = await bed.call(['update', '--memory', '128M', 'c1']);

    expect([shrunk.status, shrunk.stderr]).toEqual([0, '']);
    await expect.poll(() => memoryMib(bed, 'MemTotal'), PATIENCE).toBeLessThan(before.total + 128);
    expect(record(bed).vmMemoryMib).toBeLessThan(before.record.vmMemoryMib + 128);
    expect(hostLimitMib(bed)).toBe(record(bed).vmMemoryMib + OVERHEAD_MIB);
    await expect.poll(() => residentMib(bed), PATIENCE).toBeLessThan(before.record.vmMemoryMib + 128);
    expect(await printed(bed, 'echo lives')).toBe('lives');
  });

  test('beyond what the configuration had then is a limit, with a warning', async () => {
    await using bed = bedOfFour();
    const annotations = { 'io.tskata.default_maxmemory': '201', 'io.tskata.default_maxvcpus': '2' };
    await startContainer(bed, { ...limit(64), annotations });

    const { status, stderr } = await bed.call([
      'update',
      '--memory=512M',
      '--cpu-period=100000',
      '--cpu-quota=400000',
      'c1',
    ]);

    expect(status).toBe(0);
    expect(stderr).toContain('the virtual machine has 201 MiB and cannot have the');
    expect(stderr).toContain('it grows up to default_maxmemory');
    expect(await printed(bed, 'cat /sys/fs/cgroup/memory.max; nproc')).toBe(`${512 * MIB}\n2`);
    expect(record(bed).vmMemoryMib).toBe(201);
  });
});

describe('update of processor time', () => {
  test('gives the guest processors, and takes them out of use', async () => {
    await using bed = bedOfFour();
    await startContainer(bed, { resources: { cpu: { quota: 100_000, period: 100_000 } } });
    const seen = [await printed(bed, 'nproc')];

    for (const quota of ['300000', '150000', '100000']) {
      const { status, stderr } = await bed.call(['update', '--cpu-quota', quota, 'c1']);
      expect([status, stderr]).toEqual([0, '']);
      seen.push(await printed(bed, 'nproc'));
    }

    expect(seen).toEqual(['1', '3', '2', '1']);
  });
});
