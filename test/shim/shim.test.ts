// The shim as containerd calls it, in front of something that looks like containerd-shim-runc-v2.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildShim } from '../../shim/build.ts';
import { toAddress } from '../../shim/src/addresses.ts';
import type { TtrpcClient } from '../../src/protocol/client.ts';
import { Any, Metrics, RuncOptions } from '../../src/protocol/containerd.gen.ts';
import { uniqueId } from '../agent/harness.ts';
import { ShimBed, taskService } from './bed.ts';

const OPTIONS = 'containerd.runc.v1.Options';
const PATIENCE = { timeout: 20_000, interval: 20 };
/** What a relay may take of the machine's memory. */
const RESIDENT_MAX_KIB = 2048;

/** Of huge pages, the shortest that a guest can say. */
const PAGES = { pageSize: '', usageBytes: 0n, limitBytes: undefined, failures: 0n };

let bed: ShimBed;
let id: string;
beforeEach(async () => {
  bed = await ShimBed.create();
  id = uniqueId();
});
afterEach(async () => {
  const ids = [id, `${id}-2`];
  await bed[Symbol.asyncDispose]();
  await expect.poll(() => ids.flatMap((name) => bed.relays(name)), PATIENCE).toEqual([]);
});

/** Starts a shim, and makes its container. */
async function startTask(): Promise<TtrpcClient> {
  const client = await bed.connect((await bed.call('start', id)).stdout);
  await client.call(taskService, 'Create', { id, bundle: bed.bundle(id), options: optionsFor(bed.root) });
  return client;
}

/** As an engine gives them that wants states in another folder. */
function optionsFor(root: string): Any {
  return { typeUrl: OPTIONS, value: RuncOptions.encode({ binaryName: '', root, systemdCgroup: false }) };
}

/** The runtime beside the shim. */
async function ownProgram(): Promise<string> {
  return join(dirname(await buildShim()), 'tskata');
}

async function processes(client: TtrpcClient, of = id): Promise<bigint | undefined> {
  const { stats } = await client.call(taskService, 'Stats', { id: of });
  return Metrics.decode(stats?.value ?? new Uint8Array(0)).pids?.current;
}

describe('start', () => {
  test('tells of a socket beside that of containerd-shim-runc-v2, there and in the bundle', async () => {
    const { status, stdout, stderr } = await bed.call('start', id);

    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: toAddress(bed.relay), stderr: '' });
    expect(readFileSync(join(bed.bundle(id), 'address'), 'utf8')).toBe(stdout);
    expect(bed.calls()).toEqual([`-namespace moby -address /a -publish-binary /p -id ${id} start`]);
  });

  test('of another container of a pod needs no second relay', async () => {
    const first = await bed.call('start', id);
    const second = await bed.call('start', `${id}-2`);

    expect(second).toMatchObject({ status: 0, stdout: first.stdout });
    expect(bed.relays(`${id}-2`)).toEqual([]);
    expect(bed.relays(id)).toHaveLength(1);
  });

  test('leaves a relay that holds nothing of its caller, and what only root may use', async () => {
    const log = join(bed.bundle(id), 'log');
    writeFileSync(log, '');

    await bed.call('start', id);

    const [pid = 0] = bed.relays(id);
    const [session] = /(?<=\) \S \d+ \d+ )\d+/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    expect({ session: Number(session), folder: readlinkSync(`/proc/${pid}/cwd`) }).toEqual({
      session: pid,
      folder: '/',
    });
    const files = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(files).toEqual(['/dev/null', '/dev/null', log]);
    const modes = [bed.relay, join(bed.bundle(id), 'address')].map((path) => statSync(path).mode & 0o077);
    expect(modes).toEqual([0, 0]);
  });

  test('of two at once leaves one relay', async () => {
    const both = await Promise.all([bed.call('start', id), bed.call('start', `${id}-2`)]);

    expect(both.map(({ stdout }) => stdout)).toEqual([toAddress(bed.relay), toAddress(bed.relay)]);
    expect([...bed.relays(id), ...bed.relays(`${id}-2`)]).toHaveLength(1);
  });

  test('of many at once leaves one relay where there was one that was killed', async () => {
    for (let turn = 0; turn < 3; turn++) {
      const ids = Array.from({ length: 8 }, (_, index) => `${id}-${turn}-${index}`);
      const started = await Promise.all(ids.map((each) => bed.call('start', each)));

      expect(started.map(({ stdout }) => stdout)).toEqual(ids.map(() => toAddress(bed.relay)));
      const relays = ids.flatMap((each) => bed.relays(each));
      expect(relays).toHaveLength(1);
      const client = await bed.connect(toAddress(bed.relay));
      expect(await client.call(taskService, 'State', { id })).toEqual({ id });
      client.close();
      for (const pid of relays) process.kill(pid, 'SIGKILL');
      await expect.poll(() => ids.flatMap((each) => bed.relays(each)), PATIENCE).toEqual([]);
    }
  });

  test('waits while another one puts its socket in the place of a dead one', async () => {
    const other = spawn('flock', [dirname(bed.relay), 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const inode = `:${statSync(dirname(bed.relay)).ino} `;
    const locks = () =>
      readFileSync('/proc/locks', 'utf8')
        .match(/^.*FLOCK.*$/gm)
        ?.filter((line) => line.includes(inode));
    await expect.poll(locks, PATIENCE).toHaveLength(1);

    const started = bed.call('start', id);
    await expect.poll(locks, PATIENCE).toEqual([expect.anything(), expect.stringContaining('->')]);
    other.stdin.end();

    expect(await started).toMatchObject({ status: 0, stdout: toAddress(bed.relay) });
  });

  test('says what is in the place of its socket, where that is no socket', async () => {
    mkdirSync(bed.relay);

    const { status, stderr } = await bed.call('start', id);

    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(`unlink ${bed.relay}: `) });
  });

  test('takes the place of a relay that was killed', async () => {
    await bed.call('start', id);
    for (const pid of bed.relays(id)) process.kill(pid, 'SIGKILL');
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);

    const again = await bed.call('start', `${id}-2`);

    const client = await bed.connect(again.stdout);
    expect(await client.call(taskService, 'State', { id })).toEqual({ id });
  });

  test('that fails ends as containerd-shim-runc-v2 does, and leaves nothing', async () => {
    writeFileSync(join(bed.folder, 'fails'), '');

    const { status, stdout } = await bed.call('start', id);

    expect({ status, stdout }).toEqual({ status: 7, stdout: 'no room\n' });
    expect(existsSync(bed.relay)).toBe(false);
  });

  test('that cannot be told ends the containerd-shim-runc-v2 that it has started', async () => {
    mkdirSync(join(bed.bundle(id), 'address.new'));

    const { status, stdout, stderr } = await bed.call('start', id);

    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('address.new');
    expect(bed.asked).toEqual([`Delete ${id}`, `Shutdown ${id}`]);
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    expect([existsSync(bed.relay), existsSync(bed.socket)]).toEqual([false, false]);
  });

  test.each([
    [
      'without the rest of containerd',
      ['-namespace', 'n', '-id', 'c', 'start'],
      1,
      /containerd-shim-runc-v2, a part of/,
    ],
    ['without a namespace', ['-id', 'c', 'start'], 1, /shim namespace cannot be empty/],
    ['without an id', ['-namespace', 'n', 'start'], 1, /id of the container is missing/],
    ['without an action', ['-namespace', 'n', '-id', 'c'], 2, /the action is missing[\s\S]*usage:/],
    ['with a flag that nobody knows', ['-x', 'start'], 2, /flag provided but not defined: -x/],
  ])('%s says so', async (_what, words, expected, message) => {
    const { status, stdout, stderr } = await bed.run(words, bed.folder, bed.root);

    expect({ status, stdout }).toEqual({ status: expected, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

test('tells its version', async () => {
  expect((await bed.run(['-v'])).stdout).toMatch(/^containerd-shim-tskata-v2:\n {2}Version: {2}\d+\.\d+\.\d+\n/);
});

test.each([
  ['without options', new Uint8Array(0), '/run/containerd/tskata'],
  ['with options', Any.encode(optionsFor('/r')), '/r'],
])('has containerd-shim-runc-v2 tell of our runtime, asked %s', async (_what, options, root) => {
  const { typeUrl, value } = await bed.info(options);

  expect(bed.calls()).toEqual(['-info']);
  expect(typeUrl).toBe(OPTIONS);
  expect(RuncOptions.decode(value)).toEqual({ binaryName: await ownProgram(), root, systemdCgroup: false });
});

describe('the relay', () => {
  test('has containers made with the runtime beside it', async () => {
    await startTask();

    expect(bed.options).toEqual({ binaryName: await ownProgram(), root: bed.root, systemdCgroup: true });
  });

  test('tells what a container uses in its guest, and passes other answers on', async () => {
    await bed.serveGuest(id, 3n);
    const client = await startTask();

    const answers = await Promise.all([
      processes(client),
      client.call(taskService, 'State', { id }),
      processes(client),
    ]);

    expect(answers).toEqual([3n, { id }, 3n]);
  });

  test('passes on what containerd-shim-runc-v2 tells of a container that was not made through it', async () => {
    const client = await startTask();

    expect(await processes(client, 'other')).toBe(99n);
  });

  test('says so when the guest does not answer, and goes on', async () => {
    const client = await startTask();

    await expect(processes(client)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`the guest's agent does not answer through ${bed.root}/moby/${id}`),
    });
    expect(await client.call(taskService, 'State', { id })).toEqual({ id });
  });

  test.each([
    ['a long text', [{ ...PAGES, pageSize: 'x'.repeat(4_000_000) }]],
    ['a long list', new Array<typeof PAGES>(330_000).fill(PAGES)],
  ])('goes on when a guest answers %s, often', async (_what, hugetlb) => {
    await bed.serveGuest(id, 3n, { hugetlb });
    const client = await startTask();

    const asked = await Promise.allSettled(Array.from({ length: 20 }, () => processes(client)));

    const reason = expect.objectContaining({ code: 'UNAVAILABLE' });
    expect(asked).toEqual(asked.map(() => ({ status: 'rejected', reason })));
    expect(await client.call(taskService, 'State', { id })).toEqual({ id });
  });

  test('passes on as much as a guest may answer, to many at once', async () => {
    await bed.serveGuest(id, 3n, { hugetlb: new Array<typeof PAGES>(8_000).fill(PAGES) });
    const client = await startTask();

    const asked = await Promise.all(Array.from({ length: 20 }, () => processes(client)));

    expect(asked).toEqual(asked.map(() => 3n));
  });

  test('passes on all that containerd-shim-runc-v2 has said before its end, to one who has asked more', async () => {
    const client = await startTask();
    const release = bed.hold();
    const long = 'x'.repeat(100_000);
    const answered = client.call(taskService, 'State', { id: long });
    await expect.poll(() => bed.asked, PATIENCE).toContain('State');
    const [relay = 0] = bed.relays(id);
    process.kill(relay, 'SIGSTOP');
    const unanswered = expect(client.call(taskService, 'Delete', { id, execId: '' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });

    release(() => bed.endShim());
    await expect.poll(() => bed.isServed, PATIENCE).toBe(false);
    process.kill(relay, 'SIGCONT');

    await unanswered;
    expect(await answered).toEqual({ id: long });
  });

  test('serves containerd again when that has been started again', async () => {
    await bed.serveGuest(id, 3n);
    const before = await startTask();
    before.close();

    const client = await bed.connect(readFileSync(join(bed.bundle(id), 'address'), 'utf8'));

    expect(await processes(client)).toBe(3n);
  });

  test('ends with containerd-shim-runc-v2, connections and sockets too', async () => {
    const client = await startTask();

    await client.call(taskService, 'Shutdown', { id });

    expect(await client.closed).toMatchObject({ code: 'UNAVAILABLE' });
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    expect([existsSync(bed.relay), existsSync(bed.socket)]).toEqual([false, false]);
  });

  test('leaves a socket alone that somebody else has made in the place of its own', async () => {
    const client = await startTask();
    rmSync(bed.relay);
    writeFileSync(bed.relay, '');

    await client.call(taskService, 'Shutdown', { id });

    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    expect([existsSync(bed.relay), existsSync(bed.socket)]).toEqual([true, false]);
  });

  test('is small, after hundreds of calls too', async () => {
    await bed.serveGuest(id, 3n);
    const client = await startTask();
    for (let round = 0; round < 300; round += 1) await processes(client);

    const [pid = 0] = bed.relays(id);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])).toBeLessThan(RESIDENT_MAX_KIB);
  });
});

describe('delete', () => {
  test('is what containerd-shim-runc-v2 makes of it', async () => {
    await bed.call('start', id);

    const { status, stdout } = await bed.call('delete', id, '-bundle', bed.bundle(id));

    expect({ status, stdout }).toEqual({ status: 0, stdout: 'deleted' });
    expect(bed.calls().at(-1)).toMatch(/ -bundle \S+ delete$/);
    // Its relay lives, and so does it: another container of the pod may need both.
    expect(bed.asked).toEqual([]);
  });

  test('ends the containerd-shim-runc-v2 that a killed relay has left', async () => {
    await startTask();
    for (const pid of bed.relays(id)) process.kill(pid, 'SIGKILL');
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    const bundle = bed.bundle(id);

    const { status, stdout } = await bed.call('delete', id, '-bundle', bundle);

    expect({ status, stdout }).toEqual({ status: 0, stdout: 'deleted' });
    expect(bed.asked.slice(1)).toEqual([`Delete ${id}`, `Shutdown ${id}`]);
    expect([existsSync(bed.relay), existsSync(bed.socket)]).toEqual([false, false]);
  });

  test('leaves a containerd-shim-runc-v2 that has other containers', async () => {
    await startTask();
    for (const pid of bed.relays(id)) process.kill(pid, 'SIGKILL');
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    bed.hasOthers = true;

    const { status } = await bed.call('delete', id, '-bundle', bed.bundle(id));

    expect(status).toBe(0);
    expect(bed.asked.slice(1)).toEqual([`Delete ${id}`, `Shutdown ${id}`]);
    expect([existsSync(bed.relay), existsSync(bed.socket)]).toEqual([false, true]);
  });

  test('outlives a containerd-shim-runc-v2 that ends in between', async () => {
    await startTask();
    for (const pid of bed.relays(id)) process.kill(pid, 'SIGKILL');
    await expect.poll(() => bed.relays(id), PATIENCE).toEqual([]);
    const release = bed.hold();
    const deleted = bed.call('delete', id, '-bundle', bed.bundle(id));
    await expect.poll(() => bed.asked, PATIENCE).toContain(`Delete ${id}`);

    const masks = bed
      .relays(id)
      .map((pid) => /^SigBlk:\s+(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    release();
    const { status } = await deleted;

    // SIGPIPE, 13: writing to one that has ended is an error, and not our end.
    expect({ masks, status }).toEqual({ masks: ['0000000000001000'], status: 0 });
  });

  test('of what was never started does what it can', async () => {
    const { status, stdout } = await bed.call('delete', id);

    expect({ status, stdout }).toEqual({ status: 0, stdout: 'deleted' });
  });
});
