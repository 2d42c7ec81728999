// The attributes of a container's process, and what finding its program and its home costs where the image is hostile.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, type Outcome, TestAgent } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

/** proc_pid_stat(5): the fields from the third on, which is the first after the name. */
const STAT_FIELDS_BEFORE = 3;

function statField(outcome: Outcome, number: number): number {
  const fields = outcome.stdout.slice(outcome.stdout.lastIndexOf(')') + 2).split(' ');
  return Number(fields[number - STAT_FIELDS_BEFORE]);
}

/** Runs a program that shows how it is scheduled. */
async function scheduled(scheduler: object): Promise<{ policy: number; priority: number; nice: number }> {
  const outcome = await agent.run(config(['cat', '/proc/self/stat'], { process: { scheduler } }));
  return { policy: statField(outcome, 41), priority: statField(outcome, 40), nice: statField(outcome, 19) };
}

describe('scheduler', () => {
  // Policies as sched.h numbers them.
  test.each([
    [
      { policy: 'SCHED_OTHER', nice: 7 },
      { policy: 0, nice: 7 },
    ],
    [
      { policy: 'SCHED_OTHER', nice: -7 },
      { policy: 0, nice: -7 },
    ],
    [
      { policy: 'SCHED_BATCH', nice: 3 },
      { policy: 3, nice: 3 },
    ],
    [{ policy: 'SCHED_IDLE' }, { policy: 5 }],
    [
      { policy: 'SCHED_FIFO', priority: 10 },
      { policy: 1, priority: 10 },
    ],
    [
      { policy: 'SCHED_RR', priority: 99 },
      { policy: 2, priority: 99 },
    ],
  ])('%j is that of the program', async (scheduler, shown) => {
    expect(await scheduled(scheduler)).toMatchObject(shown);
  });

  test('SCHED_DEADLINE has its times', async () => {
    const scheduler = { policy: 'SCHED_DEADLINE', runtime: 1e7, deadline: 3e7, period: 3e7 };
    const outcome = await agent.run(
      config(['grep', '-E', 'policy|dl\\.', '/proc/self/sched'], { process: { scheduler } }),
    );
    expect(outcome.stdout).toMatch(/policy +: +6\n/);
  });

  test('holds for a plain user as well, who could not ask for it', async () => {
    const process = { user: { uid: 1000, gid: 1000 }, scheduler: { policy: 'SCHED_FIFO', priority: 5 } };
    const outcome = await agent.run(config(['cat', '/proc/self/stat'], { process }));
    expect([statField(outcome, 41), statField(outcome, 40)]).toEqual([1, 5]);
  });

  test('SCHED_FLAG_RESET_ON_FORK keeps it from children', async () => {
    const scheduler = { policy: 'SCHED_FIFO', priority: 5, flags: ['SCHED_FLAG_RESET_ON_FORK'] };
    const outcome = await agent.shell('cat /proc/self/stat; true', { process: { scheduler } });
    expect(statField(outcome, 41)).toBe(0);
  });

  test('that the kernel does not take is refused with its reason', async () => {
    const run = scheduled({ policy: 'SCHED_FIFO', priority: 100 });
    await expect(run).rejects.toMatchObject({
      message: 'error setting scheduler: sched_setattr SCHED_FIFO: invalid argument',
    });
  });
});

describe('ioPriority', () => {
  test.each([
    ['IOPRIO_CLASS_RT', 0, 'realtime: prio 0'],
    ['IOPRIO_CLASS_BE', 6, 'best-effort: prio 6'],
    ['IOPRIO_CLASS_IDLE', 0, 'idle'],
  ])('%s %i is that of the program', async (name, priority, shown) => {
    const process = { ioPriority: { class: name, priority } };
    const { stdout } = await agent.run(config(['/bin/busybox', 'ionice', '-p', '1'], { process }));
    expect(stdout.trim()).toBe(shown);
  });
});

describe('personality', () => {
  test('LINUX32 is what uname shows', async () => {
    const shown = async (domain: string) =>
      (await agent.run(config(['/bin/busybox', 'uname', '-m'], { linux: { personality: { domain } } }))).stdout;
    expect([await shown('LINUX'), await shown('LINUX32')]).toEqual(['x86_64\n', 'i686\n']);
  });
});

describe('limits', () => {
  test('that contradict each other are refused with their name and the reason of the kernel', async () => {
    const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 200, hard: 100 }];
    await expect(agent.shell('true', { process: { rlimits } })).rejects.toMatchObject({
      message: 'setrlimit RLIMIT_NOFILE: invalid argument',
    });
  });

  test('of all kinds are those of the program', async () => {
    const rlimits = [
      { type: 'RLIMIT_STACK', soft: 2 ** 64, hard: 2 ** 64 },
      { type: 'RLIMIT_NPROC', soft: 1000, hard: 2000 },
      { type: 'RLIMIT_MSGQUEUE', soft: 0, hard: 4096 },
    ];
    const outcome = await agent.run(
      config(['grep', '-E', 'stack|processes|msgqueue', '/proc/self/limits'], { process: { rlimits } }),
    );
    expect(outcome.stdout.replace(/ +/g, ' ').split('\n')).toEqual([
      'Max stack size unlimited unlimited bytes ',
      'Max processes 1000 2000 processes ',
      'Max msgqueue size 0 4096 bytes ',
      '',
    ]);
  });
});

describe('the environment', () => {
  test('has each variable once, the last of its name', async () => {
    const env = ['PATH=/bin', 'A=1', 'B=2', 'A=3'];
    const { stdout } = await agent.run(config(['env'], { process: { env } }));
    expect(stdout).toBe('PATH=/bin\nB=2\nA=3\nHOME=/root\n');
  });

  test('has HOME from /etc/passwd where it is set to nothing', async () => {
    const env = ['PATH=/bin', 'HOME='];
    expect((await agent.shell('echo $HOME', { process: { env } })).stdout).toBe('/root\n');
  });
});

describe('a home', () => {
  const home = async (prepare: (passwd: string) => void): Promise<string> => {
    const rootfs = agent.makeRootfs();
    const passwd = join(rootfs, 'etc/passwd');
    rmSync(passwd);
    prepare(passwd);
    return (await agent.run(config(['sh', '-c', 'echo $HOME']), rootfs)).stdout.trim();
  };

  test.each<[string, (path: string) => void]>([
    ['is missing', () => {}],
    ['is a pipe that nobody writes', (path) => spawnSync('mkfifo', [path])],
    ['is a link to an endless device', (path) => symlinkSync('/dev/zero', path)],
    ['is a link to a file that keeps its readers waiting', (path) => symlinkSync('/proc/kmsg', path)],
    ['is a link to itself', (path) => symlinkSync('passwd', path)],
    ['is a directory', (path) => mkdirSync(path)],
    ['has no such user', (path) => writeFileSync(path, 'user:x:1000:1000::/home:/bin/sh\n')],
    ['names nothing', (path) => writeFileSync(path, 'root:x:0:0::\n')],
    ['holds a NUL character', (path) => writeFileSync(path, 'root:x:0:0::/ro\0ot:/bin/sh\n')],
    ['is a line without end', (path) => writeFileSync(path, 'x'.repeat(3_000_000))],
    [
      'names the user beyond what is read',
      (path) => writeFileSync(path, `${'#\n'.repeat(600_000)}root:x:0:0::/root:\n`),
    ],
  ])('is / where /etc/passwd %s', async (_, prepare) => {
    expect(await home(prepare)).toBe('/');
  });

  test('is found in a long list of users, whatever the letters of their names', async () => {
    const others = Array.from({ length: 9000 }, (_, index) => `bürger${index}:x:${index + 1}:1::/ü:/bin/sh\n`).join('');
    expect(await home((path) => writeFileSync(path, `${others}root:x:0:0::/würzel:/bin/sh`))).toBe('/würzel');
  });
});

describe('a program', () => {
  const run = async (name: string, env: string[], prepare: (rootfs: string) => void = () => {}) => {
    const rootfs = agent.makeRootfs();
    prepare(rootfs);
    return await agent.run(config([name], { process: { env } }), rootfs);
  };

  test('is found behind entries of PATH that are no directories of programs', async () => {
    const weird = ['/missing', '/etc/passwd', '/tmp/pipe', '/proc/self/fd/0', '/dev/null', '/tmp/loop', '/bin'];
    const outcome = await run('pwd', [`PATH=${weird.join(':')}`], (rootfs) => {
      spawnSync('mkfifo', [join(rootfs, 'tmp/pipe')]);
      symlinkSync('loop', join(rootfs, 'tmp/loop'));
    });
    expect(outcome).toMatchObject({ stdout: '/\n', exitStatus: 0 });
  });

  test('is not a directory or a file without permission of its name', async () => {
    const outcome = await run('tool', ['PATH=/tmp/a:/tmp/b:/tmp/c'], (rootfs) => {
      mkdirSync(join(rootfs, 'tmp/a/tool'), { recursive: true });
      mkdirSync(join(rootfs, 'tmp/b'));
      writeFileSync(join(rootfs, 'tmp/b/tool'), '#!/bin/false\n', { mode: 0o644 });
      mkdirSync(join(rootfs, 'tmp/c'));
      writeFileSync(join(rootfs, 'tmp/c/tool'), '#!/bin/echo\n', { mode: 0o755 });
    });
    expect(outcome.stdout).toBe('/tmp/c/tool\n');
  });

  test.each<[string, string, string, (rootfs: string) => void]>([
    ['missing from PATH', 'nothing', 'exec: "nothing": executable file not found in $PATH', () => {}],
    ['missing', '/nothing', 'exec: "/nothing": stat /nothing: no such file or directory', () => {}],
    ['a directory', '/bin', 'exec: "/bin": is a directory', () => {}],
    ['not executable', '/etc/passwd', 'exec: "/etc/passwd": permission denied', () => {}],
    [
      'relative by PATH',
      'here',
      'exec: "here": cannot run executable found relative to current directory',
      (rootfs) => writeFileSync(join(rootfs, 'here'), '#!/bin/true\n', { mode: 0o755 }),
    ],
    ['named by nothing', '', 'exec: "": executable file not found in $PATH', () => {}],
  ])('that is %s is refused at create, in the words of runc', async (_, name, message, prepare) => {
    await expect(run(name, ['PATH=/bin:'], prepare)).rejects.toMatchObject({ message });
  });

  test.each<[string, string | Buffer, string]>([
    ['of no known format', Buffer.from([1, 2, 3, 4]), 'exec /bad: exec format error'],
    ['whose interpreter is missing', '#!/no/such\n', 'exec /bad: no such file or directory'],
  ])('%s fails at start', async (_, content, message) => {
    const attempt = run('/bad', [], (rootfs) => writeFileSync(join(rootfs, 'bad'), content, { mode: 0o755 }));
    await expect(attempt).rejects.toMatchObject({ message });
  });
});

describe('the working directory', () => {
  test('may be one that only root could enter', async () => {
    const rootfs = agent.makeRootfs();
    mkdirSync(join(rootfs, 'private'), { mode: 0o700 });
    const process = { user: { uid: 1000, gid: 1000 }, cwd: '/private' };
    expect((await agent.run(config(['pwd'], { process }), rootfs)).stdout).toBe('/private\n');
  });

  test.each(['/proc/self/fd/3', '/proc/self/fd/8', '/proc/1/fd/5', '/proc/self/fd/10/../..'])(
    'is never one of the guest, by way of %s',
    async (cwd) => {
      await expect(agent.shell('pwd', { process: { cwd } })).rejects.toMatchObject({ name: 'StatusError' });
    },
  );

  test('of an image in the way is refused', async () => {
    const rootfs = agent.makeRootfs();
    chmodSync(join(rootfs, 'etc/passwd'), 0o644);
    const run = agent.run(config(['true'], { process: { cwd: '/etc/passwd' } }), rootfs);
    await expect(run).rejects.toMatchObject({ message: expect.stringContaining('not a directory') });
  });
});
