// The size of a real VM, as programs in its container see it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RuntimeBed, shell } from '../oci/harness.ts';

const RUNTIME = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };
const LOOK = `nproc; sed -n 's/^Mem\\(Total\\|Available\\): *\\([0-9]*\\) kB/\\2/p' /proc/meminfo; cat /proc/cmdline`;
const MIB = 2 ** 20;

interface Seen {
  readonly cpus: number;
  readonly totalMib: number;
  readonly availableMib: number;
  readonly commandLine: string;
}

/** Runs a container with these limits and annotations; gives what it sees. */
async function look(resources: object, annotations: object = {}): Promise<Seen> {
  await using bed = new RuntimeBed(RUNTIME);
  const bundle = bed.bundle(shell(LOOK));
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(
    path,
    JSON.stringify({
      ...config,
      annotations,
      linux: { ...config.linux, resources: { ...config.linux.resources, ...resources } },
    }),
  );
  const { stdout, stderr } = await bed.call(['run', '--bundle', bundle, 'c1']);
  const [cpus, total, available, commandLine = ''] = stdout.split('\n');
  if (available === undefined) throw new Error(stderr);
  return {
    cpus: Number(cpus),
    totalMib: Number(total) / 1024,
    availableMib: Number(available) / 1024,
    commandLine,
  };
}

test.each([64, 512, 1500])(
  'a container with a limit of %i MiB can use as much, and sees little more',
  async (limitMib) => {
    const { totalMib, availableMib } = await look({ memory: { limit: limitMib * MIB } });

    expect(availableMib).toBeGreaterThanOrEqual(limitMib);
    expect(availableMib).toBeLessThan(limitMib + 12);
    expect(totalMib).toBeLessThan(limitMib + 64);
  },
);

test('a container with one and a half processors sees two on a host that has them', async () => {
  const hostCpus = readFileSync('/proc/cpuinfo', 'utf8').match(/^processor/gm)?.length ?? 0;

  const { cpus } = await look({ cpu: { quota: 150_000, period: 100_000 } });

  expect(cpus).toBe(Math.min(2, hostCpus));
});

test('a guest of 64 MiB works, and annotations reach its kernel', async () => {
  const annotations = { 'io.tskata.default_memory': '64', 'io.tskata.kernel_params': 'tskata.test=1' };

  const { totalMib, commandLine } = await look({}, annotations);

  expect(totalMib).toBeLessThan(64);
  expect(commandLine).toMatch(/ tskata\.test=1( |$)/);
});
