// What is left of the work of a long life: nothing. The numbers are printed, for whoever wants to see how they move.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closing, collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
let pid: number;
beforeAll(async () => {
  agent = await TestAgent.start();
  pid = Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'));
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const KIBIBYTE = 1024;
/** What the resident set may grow by in a test that begins warm: room for the allocator's moods, not for a leak. */
const GROWTH_MAX_KIB = 512;

/** How the ids of this file's containers begin (`uniqueId`). */
const OWN_IDS = `test-${process.pid}-`;

/** What the agent holds of the machine. */
function held() {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    children: readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim(),
    mounts: readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n').length,
    // The tree may be shared with other tests of this machine: those of this one have its pid in their names.
    cgroups: readdirSync(`/proc/${pid}/root/sys/fs/cgroup/tskata`).filter((name) => name.startsWith(OWN_IDS)).length,
    residentKib: Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]),
  };
}

/** Does something again and again, and tells what the agent holds before and after. The first rounds warm it up. */
async function repeat(what: string, warmUp: number, rounds: number, action: () => Promise<unknown>) {
  for (let round = 0; round < warmUp; round++) await action();
  const before = held();
  const begin = performance.now();
  for (let round = 0; round < rounds; round++) await action();
  const perSecond = Math.round(rounds / ((performance.now() - begin) / 1000));
  const after = held();
  process.stdout.write(
    `${rounds} x ${what} (${perSecond}/s): before ${JSON.stringify(before)}, after ${JSON.stringify(after)}\n`,
  );
  return { before, after };
}

function expectNothingLeft({ before, after }: Awaited<ReturnType<typeof repeat>>): void {
  const { residentKib, ...rest } = after;
  const { residentKib: residentBefore, ...restBefore } = before;
  expect(rest).toEqual(restBefore);
  expect(residentKib).toBeLessThan(residentBefore + GROWTH_MAX_KIB);
}

async function started(args: readonly string[]): Promise<string> {
  const containerId = uniqueId();
  await agent.create(containerId, config(args), stdioRequest({ stdout: false, stderr: false }), rootfs());
  await agent.call('StartContainer', { containerId });
  return containerId;
}

let sharedRootfs: string | undefined;
function rootfs(): string {
  sharedRootfs ??= agent.makeRootfs();
  return sharedRootfs;
}

const remove = (containerId: string) => agent.call('DeleteContainer', { containerId, force: true });

async function exec(containerId: string, processId: string, args: readonly string[]): Promise<string> {
  const stdio = stdioRequest({ stdin: true });
  const ociProcessJson = JSON.stringify(config(args).process);
  await agent.call('ExecProcess', { containerId, processId, ociProcessJson, stdio, ignorePaused: false });
  const [stdout, stderr] = await Promise.all([agent.stream(stdio, 'stdout'), agent.stream(stdio, 'stderr')]);
  const [printed] = await Promise.all([collect(stdout), collect(stderr)]);
  await agent.call('WaitProcess', { containerId, processId });
  return printed.toString();
}

describe('nothing is left', () => {
  test('of a hundred containers, one after the other', async () => {
    const outcome = await repeat('container', 20, 100, () => agent.run(config(['echo', 'hello']), rootfs()));
    expectNothingLeft(outcome);
  });

  test('of a hundred containers whose program is not there', async () => {
    const quiet = stdioRequest.bind(undefined, { stdin: true });
    const outcome = await repeat('refused container', 10, 100, async () => {
      await expect(agent.create(uniqueId(), config(['nothing']), quiet(), rootfs())).rejects.toThrow('not found');
    });
    expectNothingLeft(outcome);
  });

  test('of a thousand processes in one container but how each ended', async () => {
    const containerId = await started(['sleep', '1000']);
    let serial = 0;
    const outcome = await repeat('exec', 100, 1000, async () => {
      serial += 1;
      const name = `e${serial}`;
      expect(await exec(containerId, name, ['echo', name])).toBe(`${name}\n`);
    });
    await remove(containerId);
    expectNothingLeft(outcome);
  }, 120_000);

  test('of a hundred terminals', async () => {
    const containerId = await started(['sleep', '1000']);
    let serial = 0;
    const outcome = await repeat('terminal', 10, 100, async () => {
      const processId = `t${serial++}`;
      const stdio = stdioRequest({ terminal: true });
      const ociProcessJson = JSON.stringify(config(['echo', 'x'], { process: { terminal: true } }).process);
      await agent.call('ExecProcess', { containerId, processId, ociProcessJson, stdio, ignorePaused: false });
      expect(String(await collect(await agent.stream(stdio, 'terminal')))).toBe('x\r\n');
      await agent.call('WaitProcess', { containerId, processId });
    });
    await remove(containerId);
    expectNothingLeft(outcome);
  }, 120_000);

  test('of a thousand connections', async () => {
    const outcome = await repeat('connection', 100, 1000, async () => {
      const socket = await agent.connect('agent.sock');
      const closed = closing(socket);
      socket.end();
      await closed;
    });
    expectNothingLeft(outcome);
  });

  test('of orphans that processes leave to pid 1, twice removed', async () => {
    const namespaces = [{ type: 'mount' }];
    const orphans = config(['sh', '-c', 'for i in 1 2 3 4 5; do (sleep 0.01 & (sleep 0.02 &) &) ; done; sleep 0.1'], {
      linux: { namespaces },
      hostname: '',
    });
    const outcome = await repeat('family of orphans', 2, 10, () => agent.run(orphans, rootfs()));
    await expect.poll(() => held().children).toBe('');
    expectNothingLeft({ ...outcome, after: held() });
  });
});

describe('at once', () => {
  test('ten containers run, each for itself, and go', async () => {
    const before = held();
    const printed = await Promise.all(
      Array.from({ length: 10 }, (_, index) => agent.run(config(['sh', '-c', `echo ${index}; sleep 0.2`]), rootfs())),
    );
    expect(printed.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 10 }, (_, index) => `${index}\n`));
    expectNothingLeft({ before, after: held() });
  });

  test('a hundred processes of one container run, each with streams of its own', async () => {
    const containerId = await started(['sleep', '1000']);
    const before = held();
    const names = Array.from({ length: 100 }, (_, index) => `e${index}`);
    const printed = await Promise.all(names.map((name) => exec(containerId, name, ['echo', name])));
    const after = held();
    process.stdout.write(`100 execs at once: before ${JSON.stringify(before)}, after ${JSON.stringify(after)}\n`);
    await remove(containerId);
    expect(printed).toEqual(names.map((name) => `${name}\n`));
    expect(after).toMatchObject({ descriptors: before.descriptors, children: before.children });
    expect(after.residentKib).toBeLessThan(6 * KIBIBYTE);
  });
});

describe('short of descriptors', () => {
  const limits = (): number[] =>
    (/Max open files\s+(\d+)\s+(\d+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')) ?? []).slice(1).map(Number);
  const setLimit = (soft: number): void => {
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
  };

  test('a process is made whole or refused, whatever is left, and nothing is left of what was refused', async () => {
    const containerId = await started(['sleep', '1000']);
    const before = held();
    const [soft = 0] = limits();
    const outcomes = new Set<string>();
    const ociProcessJson = JSON.stringify(config(['true']).process);
    for (let index = 0; index < 30; index++) {
      setLimit(before.descriptors + 20 + index);
      const processId = `e${index}`;
      const stdio = stdioRequest({ stdin: true, stdout: false, stderr: false });
      const request = { containerId, processId, ociProcessJson, stdio, ignorePaused: false };
      const outcome = await agent.call('ExecProcess', request).then(
        () => agent.call('WaitProcess', { containerId, processId }).then(({ exitStatus }) => `ended: ${exitStatus}`),
        (error: { code: string }) => error.code,
      );
      outcomes.add(outcome);
    }
    setLimit(soft);
    await expect.poll(held).toMatchObject({ ...before, residentKib: expect.any(Number) });
    await remove(containerId);
    expect([...outcomes].sort()).toEqual(['RESOURCE_EXHAUSTED', 'ended: 0']);
  });

  test('a container is refused and nothing is left of it, and one that is there can be deleted', async () => {
    const containerId = await started(['sleep', '1000']);
    const before = held();
    const [soft = 0] = limits();
    setLimit(before.descriptors + 25);
    await expect(started(['true'])).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(held()).toMatchObject({ ...before, residentKib: expect.any(Number) });
    await remove(containerId);
    setLimit(soft);
    expect(held()).toMatchObject({ cgroups: before.cgroups - 1, children: '' });
  });

  test('a connection is refused, and those that are there are answered', async () => {
    const before = held();
    const [soft = 0] = limits();
    setLimit(before.descriptors + 10);
    const socket = await agent.connect('stdio.sock');
    await closing(socket);
    setLimit(soft);
    await expect.poll(() => agent.log).toContain('too many files are open');
    expect(held()).toMatchObject({ descriptors: before.descriptors });
  });
});
