// `events`, as every runtime that takes runc's commands must do it, and what is particular to tskata.
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { runningContainer, sharedContainer } from './exec-cases.ts';
import { type Ended, ended, type Runtime, type RuntimeBed } from './harness.ts';
import { HAS_CONTROLLERS } from './update-cases.ts';

interface Printed {
  readonly type: string;
  readonly id: string;
  readonly data?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

function lines({ stdout }: Ended): Printed[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Printed);
}

/** Follows the events until the container has been killed, after `count` lines. */
async function follow(bed: RuntimeBed, count: number, ...flags: string[]): Promise<Ended> {
  const following = bed.spawn('events', ...flags, 'c1');
  const result = ended(following);
  await new Promise<void>((resolve) => {
    let seen = 0;
    following.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString().split('\n').length - 1;
      if (seen >= count) resolve();
    });
  });
  await bed.call(['kill', 'c1', 'KILL']);
  return await result;
}

/** What the control groups tell of a container. */
export function describeStatistics(runtime: Runtime): void {
  describe('events', () => {
    test.skipIf(!HAS_CONTROLLERS)('--stats has the numbers of the controllers', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['update', '--memory', '67108864', '--pids-limit', '77', 'c1']);

      const { data } = lines(await bed.call(['events', '--stats', 'c1']))[0] ?? {};

      expect(data?.['pids']).toEqual({ current: expect.any(Number), limit: 77 });
      expect(data?.['memory']).toMatchObject({
        usage: { limit: 67_108_864, usage: expect.any(Number), failcnt: 0 },
        raw: { anon: expect.any(Number), file: expect.any(Number) },
        kernel: { limit: 0, failcnt: 0 },
        kernelTCP: { limit: 0, failcnt: 0 },
      });
    });

    test('prints statistics at each interval, until the container ends', async () => {
      await using bed = await runningContainer(runtime);

      const result = await follow(bed, 3, '--interval', '100ms');

      const types = lines(result).map(({ type }) => type);
      expect(result.status).toBe(0);
      expect(types.length).toBeGreaterThanOrEqual(3);
      expect(new Set(types)).toEqual(new Set(['stats']));
    });

    test.skipIf(!HAS_CONTROLLERS)('tells when processes were killed for want of memory', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['update', '--memory', '33554432', '--memory-swap', '33554432', 'c1']);
      const following = bed.spawn('events', '--interval', '1h', 'c1');
      const result = ended(following);
      let isTold = false;
      following.stdout?.once('data', () => {
        isTold = true;
      });
      // Until the events are followed nobody is told of them.
      while (!isTold) await bed.call(['exec', 'c1', 'tail', '/dev/zero']);
      await bed.call(['kill', 'c1', 'KILL']);

      expect(lines(await result)[0]).toEqual({ type: 'oom', id: 'c1' });
    });
  });
}

/** What needs no control groups. */
export function describeEvents(runtime: Runtime): void {
  describe('events', () => {
    const container = sharedContainer(runtime);

    test('--stats prints the statistics once', async () => {
      const bed = await container();

      const result = await bed.call(['events', '--stats', 'c1']);

      const [event, ...others] = lines(result);
      expect([result.status, result.stderr, others.length]).toEqual([0, '', 0]);
      expect(event).toMatchObject({ type: 'stats', id: 'c1' });
      expect(event?.data?.['cpu']).toMatchObject({ usage: { total: expect.any(Number), user: expect.any(Number) } });
      expect(Object.keys(event?.data ?? {})).toEqual(
        expect.arrayContaining([
          'cpu',
          'cpuset',
          'memory',
          'pids',
          'blkio',
          'hugetlb',
          'intel_rdt',
          'network_interfaces',
        ]),
      );
    });

    test('at no interval are refused', async () => {
      const bed = await container();

      const { status, stderr } = await bed.call(['events', '--interval', '0s', 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words('duration interval must be greater than 0'));
    });

    test('of a container that has stopped are refused', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['kill', 'c1', 'KILL']);
      await bed.until('c1', 'stopped');

      const { status, stderr } = await bed.call(['events', '--stats', 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words('container with id c1 is not running'));
    });
  });
}

export function describeTskataEvents(runtime: Runtime): void {
  describe('events', () => {
    test('end with the container, however long their interval is', async () => {
      await using bed = await runningContainer(runtime);
      const following = bed.spawn('events', '--interval', '10000h', 'c1');
      const result = ended(following);
      // Where they are followed cannot be seen from outside; either way they end.
      await bed.call(['events', '--stats', 'c1']);

      await bed.call(['kill', 'c1', 'KILL']);

      expect(await result).toMatchObject({ stdout: '' });
    });

    test('end when nobody reads them any more', async () => {
      await using bed = await runningContainer(runtime);
      const following = bed.spawn('events', '--interval', '50ms', 'c1');
      const ending = once(following, 'exit');
      await once(following.stdout ?? following, 'data');

      following.stdout?.destroy();

      expect((await ending)[0]).toBe(1);
      expect((await bed.state('c1')).status).toBe('running');
    });
  });
}
