// `update`, as every runtime that takes runc's commands must do it, and what is particular to tskata.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { runningContainer, sharedContainer } from './exec-cases.ts';
import { type Runtime, type RuntimeBed, until } from './harness.ts';

/** Whether this host has the controllers of cgroup v2; those of a guest are its own, but without a VM they are this host's. */
export const HAS_CONTROLLERS = controllers().includes('memory');

function controllers(): string[] {
  try {
    return readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').trim().split(' ');
  } catch {
    return [];
  }
}

/** What the container finds in files of its control group that have a line each. */
async function controls(bed: RuntimeBed, ...files: string[]): Promise<string[]> {
  const paths = files.map((file) => `/sys/fs/cgroup/${file}`);
  return (await bed.call(['exec', 'c1', 'cat', ...paths])).stdout.trimEnd().split('\n');
}

async function control(bed: RuntimeBed, file: string): Promise<string> {
  return (await controls(bed, file)).join();
}

/** So many mebibytes, as a number of bytes. */
function mib(count: number): string {
  return String(count << 20);
}

/** What the kernel makes of an update. */
export function describeLimits(runtime: Runtime): void {
  describe.skipIf(!HAS_CONTROLLERS)('update of limits', () => {
    const container = sharedContainer(runtime);

    test('sets what its flags say, and leaves the rest', async () => {
      const bed = await container();

      const first = await bed.call(['update', '--memory', mib(64), '--pids-limit', '50', '--cpu-quota', '50000', 'c1']);
      const second = await bed.call(['update', '--cpu-period', '200000', `--memory-reservation=${mib(32)}`, 'c1']);

      expect([first, second].map(({ status, stderr }) => [status, stderr])).toEqual([
        [0, ''],
        [0, ''],
      ]);
      expect(await controls(bed, 'memory.max', 'memory.low', 'pids.max', 'cpu.max')).toEqual([
        mib(64),
        mib(32),
        '50',
        '50000 200000',
      ]);
    });

    test('reads linux.resources from standard input, and from a file', async () => {
      const bed = await container();
      const path = join(bed.folder, 'resources.json');
      writeFileSync(path, JSON.stringify({ memory: { limit: 64 << 20 }, pids: { limit: 0 } }));

      const first = await bed.call(['update', '--resources', '-', 'c1'], '{"pids":{"limit":33},"cpu":{"shares":512}}');
      const second = await bed.call(['update', `--resources=${path}`, 'c1']);

      expect([first.status, first.stderr]).toEqual([0, '']);
      expect([second.status, second.stderr]).toEqual([0, '']);
      expect(await controls(bed, 'memory.max', 'pids.max')).toEqual([mib(64), '33']);
    });

    test('of memory counts on the swap that was set before', async () => {
      const bed = await container();
      await bed.call(['update', '--memory', mib(64), '--memory-swap', mib(96), 'c1']);

      const more = await bed.call(['update', '--memory', mib(80), 'c1']);
      const tooMuch = await bed.call(['update', '--memory', mib(128), 'c1']);
      const unlimited = await bed.call(['update', '--memory=-1', 'c1']);

      expect(more.stderr).toBe('');
      expect(tooMuch.status).toBe(1);
      expect(tooMuch.stderr).toMatch(bed.words('memory+swap limit should be >= memory limit'));
      expect(unlimited).toMatchObject({ status: 0, stderr: '' });
      expect(await control(bed, 'memory.max')).toBe('max');
    });

    test('takes sizes with units, and limits away with -1', async () => {
      const bed = await container();
      const processors = ['--cpu-quota', '50000', '--cpu-period', '100000'];
      await bed.call(['update', '--memory', '64m', '--pids-limit', '50', ...processors, 'c1']);
      const before = await control(bed, 'memory.max');

      await bed.call(['update', '--memory', '-1', '--pids-limit', '-1', '--cpu-quota', '-1', 'c1']);

      expect(before).toBe(mib(64));
      expect(await controls(bed, 'memory.max', 'pids.max', 'cpu.max')).toEqual(['max', 'max', 'max 100000']);
    });

    test('refuses a limit below what is in use, where that is asked for', async () => {
      const bed = await container();
      const path = join(bed.folder, 'resources.json');
      writeFileSync(path, JSON.stringify({ memory: { limit: 4096, swap: 4096, checkBeforeUpdate: true } }));
      await bed.call(['update', '--memory', mib(64), '--memory-swap', mib(64), 'c1']);

      const { status, stderr } = await bed.call(['update', '-r', path, 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words(/rejecting memory(\+swap)? limit 4096 <= usage \d+/));
      expect(await control(bed, 'memory.max')).toBe(mib(64));
    });

    test('of a paused container holds', async () => {
      const bed = await container();
      await bed.call(['pause', 'c1']);

      const { status, stderr } = await bed.call(['update', '--pids-limit', '44', 'c1']);
      await bed.call(['resume', 'c1']);

      expect([status, stderr]).toEqual([0, '']);
      expect(await control(bed, 'pids.max')).toBe('44');
    });
  });
}

/** What of an update needs no controller. */
export function describeUpdate(runtime: Runtime): void {
  describe('update', () => {
    const container = sharedContainer(runtime);

    test('refuses values that it cannot read, in the words of Go', async () => {
      const bed = await container();
      const refused = [
        [['--memory', 'much'], "invalid value for memory: invalid size: 'much'"],
        [['--cpu-quota', 'x'], 'invalid value for cpu-quota: strconv.ParseInt: parsing "x": invalid syntax'],
        [['--resources', '/nonexistent'], 'no such file or directory'],
      ] as const;

      for (const [flags, message] of refused) {
        const { status, stderr } = await bed.call(['update', ...flags, 'c1']);
        expect([status, stderr.replaceAll('\\"', '"')]).toEqual([1, expect.stringContaining(message)]);
      }
    });

    test('of swap alone needs to know the memory', async () => {
      await using bed = await runningContainer(runtime);

      const { status, stderr } = await bed.call(['update', '--memory-swap', mib(96), 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words('unable to set swap limit without memory limit'));
    });

    test('of processors of the host holds for the process of the container there', async () => {
      const bed = await container();
      const { pid } = await bed.state('c1');

      const { status, stderr } = await bed.call(['update', '--cpuset-cpus', '0', 'c1']);

      expect([status, stderr]).toEqual([0, '']);
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Cpus_allowed_list:\t0$/m);
    });

    test('of a container that has stopped is refused', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['kill', 'c1', 'KILL']);
      await bed.until('c1', 'stopped');

      const { status, stderr } = await bed.call(['update', '--pids-limit', '5', 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words('container not running'));
    });
  });
}

/** A limit that every kernel has, and what a new container has of it. */
const DEPTH = 'cgroup.max.depth';

export function describeTskataUpdate(runtime: Runtime): void {
  const record = (bed: RuntimeBed): ContainerRecord =>
    JSON.parse(readFileSync(join(bed.root, 'c1/state.json'), 'utf8')) as ContainerRecord;

  describe('update', () => {
    test('is kept in the record, so that the next one builds on it', async () => {
      await using bed = await runningContainer(runtime);
      const before = record(bed);

      await bed.call(['update', '-r', '-', 'c1'], JSON.stringify({ unified: { [DEPTH]: '7' } }));
      const { status, stderr } = await bed.call(
        ['update', '-r', '-', 'c1'],
        JSON.stringify({ unified: { 'cgroup.max.descendants': '9' }, devices: [{ allow: true, access: 'rwm' }] }),
      );

      expect([status, stderr]).toEqual([0, '']);
      expect(await controls(bed, DEPTH, 'cgroup.max.descendants')).toEqual(['7', '9']);
      expect(record(bed)).toEqual({
        ...before,
        resources: { ...before.resources, unified: { [DEPTH]: '7', 'cgroup.max.descendants': '9' } },
      });
    });

    test('finds nothing in a group that is null', async () => {
      await using bed = await runningContainer(runtime);
      const resources = { cpu: null, unified: { [DEPTH]: '7' } };

      const { status, stderr } = await bed.call(['update', '-r', '-', 'c1'], JSON.stringify(resources));

      expect([status, stderr]).toEqual([0, '']);
      expect(await control(bed, DEPTH)).toBe('7');
    });

    test('is made whole or not at all', async () => {
      await using bed = await runningContainer(runtime);
      const before = [record(bed), await control(bed, DEPTH)];
      const resources = { unified: { [DEPTH]: '7', 'cgroup.max.descendants': 'many' } };

      const { status, stderr } = await bed.call(['update', '-r', '-', 'c1'], JSON.stringify(resources));

      expect(status).toBe(1);
      expect(stderr).toContain('cgroup.max.descendants');
      expect([record(bed), await control(bed, DEPTH)]).toEqual(before);
    });

    test('is taken back in the guest when the host cannot do its part', async () => {
      await using bed = await runningContainer(runtime);
      const before = record(bed);
      await bed.call(['update', '-r', '-', 'c1'], JSON.stringify({ unified: { [DEPTH]: '7' } }));
      const resources = { unified: { [DEPTH]: '5' }, cpu: { cpus: '4000-4001' } };

      const { status, stderr } = await bed.call(['update', '-r', '-', 'c1'], JSON.stringify(resources));

      expect(status).toBe(1);
      expect(stderr).toContain('cpu.cpus');
      expect(await control(bed, DEPTH)).toBe('7');
      expect(record(bed).resources).toEqual({ ...before.resources, unified: { [DEPTH]: '7' } });
    });

    test('says what is wrong in what it reads', async () => {
      await using bed = await runningContainer(runtime);
      const refused = [
        ['', 'standard input is empty'],
        ['{', 'standard input is not JSON'],
        ['[]', 'linux.resources in standard input is []; allowed is an object'],
        [
          '{"memory":{"limit":"x"}}',
          'linux.resources.memory.limit in standard input is "x"; allowed is a whole number',
        ],
        ['{"cpu":{"realtimeRuntime":5}}', 'linux.resources.cpu.realtimeRuntime cannot be set'],
      ] as const;

      for (const [text, message] of refused) {
        const { status, stderr } = await bed.call(['update', '-r', '-', 'c1'], text);
        expect([status, stderr.replaceAll('\\"', '"')]).toEqual([1, expect.stringContaining(message)]);
      }
    });

    test('knows no Intel RDT', async () => {
      await using bed = await runningContainer(runtime);

      const { status, stderr } = await bed.call(['update', '--l3-cache-schema', 'L3:0=f', 'c1']);

      expect(status).toBe(1);
      expect(stderr).toContain('Intel RDT/CAT: l3 cache schema is not enabled');
    });

    test('at the same time by many comes one after the other', async () => {
      await using bed = await runningContainer(runtime);
      const files = [DEPTH, 'cgroup.max.descendants'];

      const results = await Promise.all(
        files.map((file) => bed.call(['update', '-r', '-', 'c1'], JSON.stringify({ unified: { [file]: '5' } }))),
      );

      expect(results.map(({ status }) => status)).toEqual([0, 0]);
      expect(await controls(bed, ...files)).toEqual(['5', '5']);
      expect(Object.keys(record(bed).resources.unified ?? {}).sort()).toEqual(files.toSorted());
    });

    test('that is killed leaves a container that can be updated', async () => {
      await using bed = await runningContainer(runtime);
      const killed = bed.spawn('update', '-r', '-', 'c1');
      killed.stdin?.write('{"unified":');
      killed.kill('SIGKILL');
      await until(() => killed.exitCode !== null || killed.signalCode !== null);

      const { status } = await bed.call(['update', '-r', '-', 'c1'], JSON.stringify({ unified: { [DEPTH]: '3' } }));

      expect(status).toBe(0);
      expect(await control(bed, DEPTH)).toBe('3');
    });
  });
}
