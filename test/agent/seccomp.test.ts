// Filters for system calls, as the kernel of this machine carries them out. What profiles mean is tested beside their compiler.
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProbe, PROBE } from '../conformance/probe.ts';
import { type ConfigParts, collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

const [SIGILL, SIGSYS] = [4, 31];
/** Calls that the probe makes: by their x86-64 numbers, and through the gate of i386 by the numbers there. */
const GETPPID = 'syscall 110';
const [I386_GETPID, I386_MKDIR] = ['int80 20', 'int80 39 /tmp/x 511'];
/** EBADFD, for which the probe has no name: none of the calls here gives it by itself. */
const CHOSEN = 77;
const DENIED = `errno ${CHOSEN}`;
const MKDIR = ['mkdir', 'mkdirat'];

let agent: TestAgent;

beforeAll(async () => {
  [agent] = await Promise.all([TestAgent.start(), buildProbe()]);
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

/** Runs one more process in a container. @returns what it prints */
async function exec(containerId: string, process: object): Promise<string> {
  const [processId, stdio] = [uniqueId(), stdioRequest({ stderr: false })];
  const request = { containerId, processId, ociProcessJson: JSON.stringify(process), stdio, ignorePaused: false };
  await agent.call('ExecProcess', request);
  return String(await collect(await agent.stream(stdio, 'stdout')));
}

const rule = (names: string[], action: string, more: object = {}): object => ({ names, action, ...more });

/** A container with this filter, and the rights of the harness's configuration. */
function filtered(syscalls: object[], more: object = {}, process: object = {}): ConfigParts {
  return { process, linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls, ...more } } };
}

/** Has the probe make a call in a container. @returns what it prints, and the signal that ended it */
async function call(parts: ConfigParts, command: string) {
  const rootfs = agent.makeRootfs();
  copyFileSync(PROBE, join(rootfs, 'bin/probe'));
  const { stdout, signal } = await agent.run(config(['/bin/probe', command], parts), rootfs);
  return { stdout, signal };
}

/** What the probe prints. */
const found = (command: string, result: string | number): object => {
  return { stdout: expect.stringContaining(`"${command}": ${JSON.stringify(result)}`), signal: 0 };
};

describe('a filter', () => {
  test.each([
    [{}],
    [{ noNewPrivileges: true }],
    [{ user: { uid: 1000, gid: 1000 } }],
    [{ user: { uid: 1000, gid: 1000 }, noNewPrivileges: true }],
  ])('holds for a process with %j', async (process) => {
    const parts = filtered([rule(MKDIR, 'SCMP_ACT_ERRNO')], {}, process);

    const { stdout } = await agent.shell(
      'mkdir /tmp/x 2>&1; grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status',
      parts,
    );

    expect(stdout).toContain("mkdir: can't create directory '/tmp/x': Operation not permitted");
    expect(stdout).toMatch(/^Seccomp:\t2$/m);
    expect(stdout).toMatch(new RegExp(`^NoNewPrivs:\t${Number('noNewPrivileges' in process)}$`, 'm'));
  });

  test('answers with the error number that the profile has chosen', async () => {
    const parts = filtered([rule(['getppid'], 'SCMP_ACT_ERRNO', { errnoRet: CHOSEN })]);

    expect(await call(parts, GETPPID)).toEqual(found(GETPPID, DENIED));
  });

  test.each(['SCMP_ACT_KILL', 'SCMP_ACT_KILL_THREAD', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP'])(
    '%s ends the process by SIGSYS',
    async (action) => {
      expect(await call(filtered([rule(['getppid'], action)]), GETPPID)).toMatchObject({ signal: SIGSYS });
    },
  );

  test('SCMP_ACT_LOG lets the call pass', async () => {
    expect(await call(filtered([rule(['getppid'], 'SCMP_ACT_LOG')]), GETPPID)).toEqual(found(GETPPID, 0));
  });

  test('SCMP_ACT_TRACE without a tracer is no such call', async () => {
    expect(await call(filtered([rule(['getppid'], 'SCMP_ACT_TRACE')]), GETPPID)).toEqual(found(GETPPID, 'ENOSYS'));
  });

  test('compares arguments, all 64 bits of them', async () => {
    const args = [{ index: 0, op: 'SCMP_CMP_EQ', value: 2n ** 64n - 1n }];
    const parts = filtered([rule(['getpgid'], 'SCMP_ACT_ERRNO', { errnoRet: CHOSEN, args })]);
    const [fits, fitsNot] = ['syscall 121 -1', 'syscall 121 0xffffffff'];

    expect(await call(parts, fits)).toEqual(found(fits, DENIED));
    expect(await call(parts, fitsNot)).toEqual(found(fitsNot, 'ESRCH'));
  });

  test('holds for processes that come later, with new privileges and without', async () => {
    const id = uniqueId();
    const parts = filtered([rule(MKDIR, 'SCMP_ACT_ERRNO')]);
    await agent.create(id, config(['sleep', '1000'], parts), stdioRequest({ stdout: false, stderr: false }));
    await agent.call('StartContainer', { containerId: id });

    const runs = [false, true].map(async (noNewPrivileges) => {
      const { process } = config(['sh', '-c', 'mkdir /tmp/x 2>&1; grep NoNewPrivs /proc/self/status'], {
        process: { noNewPrivileges },
      });
      return await exec(id, process);
    });

    expect(await Promise.all(runs)).toEqual(
      [0, 1].map((set) => expect.stringMatching(new RegExp(`Operation not permitted\nNoNewPrivs:\t${set}`))),
    );
    await agent.call('DeleteContainer', { containerId: id, force: true });
  });

  test('with no_new_privs, holds for the program alone: it needs to allow no call of the agent', async () => {
    // What a static program needs to start, print and end.
    const names = [
      'execve',
      'arch_prctl',
      'set_tid_address',
      'brk',
      'mmap',
      'ioctl',
      'writev',
      'exit_group',
      'getppid',
    ];
    const syscalls = [rule(names, 'SCMP_ACT_ALLOW')];
    const parts = filtered(syscalls, { defaultAction: 'SCMP_ACT_KILL_PROCESS' }, { noNewPrivileges: true });

    expect(await call(parts, GETPPID)).toEqual(found(GETPPID, 0));
  });

  test('has the flags of the profile', async () => {
    const flags = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'];
    const parts = filtered([rule(['getppid'], 'SCMP_ACT_ERRNO', { errnoRet: CHOSEN })], { flags });

    expect(await call(parts, GETPPID)).toEqual(found(GETPPID, DENIED));
  });
});

describe('an architecture', () => {
  test('that the profile does not list ends the process', async () => {
    expect(await call(filtered([rule(MKDIR, 'SCMP_ACT_ERRNO')]), I386_GETPID)).toMatchObject({ signal: SIGSYS });
  });

  test('that it lists has the same rules', async () => {
    const parts = filtered([rule(MKDIR, 'SCMP_ACT_ERRNO', { errnoRet: CHOSEN })], { architectures: ['SCMP_ARCH_X86'] });

    expect(await call(parts, I386_MKDIR)).toEqual(found(I386_MKDIR, DENIED));
    expect(await call(parts, I386_GETPID)).toEqual(found(I386_GETPID, 1));
  });
});

describe('a process that cannot be made', () => {
  test('because execve is denied, tells so', async () => {
    const id = uniqueId();
    const parts = filtered([rule(['execve'], 'SCMP_ACT_ERRNO')]);
    await agent.create(id, config(['true'], parts));

    await expect(agent.call('StartContainer', { containerId: id })).rejects.toMatchObject({
      message: expect.stringContaining('operation not permitted'),
    });
    await agent.call('DeleteContainer', { containerId: id, force: true });
  });

  test('because all is denied, ends', async () => {
    const id = uniqueId();
    const all = { defaultAction: 'SCMP_ACT_ERRNO' };
    const stdio = stdioRequest({ stdout: false, stderr: false });
    await agent.create(id, config(['true'], filtered([], all, { noNewPrivileges: true })), stdio);

    await agent.call('StartContainer', { containerId: id });

    // It can neither run its program, nor tell, nor end by itself.
    expect(await agent.call('WaitProcess', { containerId: id, processId: '' })).toMatchObject({ signal: SIGILL });
    await agent.call('DeleteContainer', { containerId: id, force: false });
  });

  test('because its user cannot be set, leaves nothing', async () => {
    const id = uniqueId();
    const document = config(['true'], filtered([], { defaultAction: 'SCMP_ACT_ERRNO' }));

    await expect(agent.create(id, document)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });

    expect(existsSync(`/proc/${agent.pid}/root/sys/fs/cgroup/tskata/${id}`)).toBe(false);
  });
});

describe('a filter that the agent is sent', () => {
  const request = (ociConfig: object, seccomp: { program: Uint8Array; flags: number } | undefined) => ({
    containerId: uniqueId(),
    ociConfigJson: JSON.stringify(ociConfig),
    rootfsPath: agent.makeRootfs(),
    stdio: stdioRequest({ stdout: false, stderr: false }),
    seccomp,
    bundle: '/the/bundle',
  });

  test('must be there when the profile is', async () => {
    const document = config(['true'], filtered([]));

    await expect(agent.call('CreateContainer', request(document, undefined))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('linux.seccomp came without its compiled filter'),
    });
  });

  test.each([0, 7, 9, 4097 * 8])(
    'must have whole instructions, and no more than the kernel takes: not %d bytes',
    async (length) => {
      const filter = { program: new Uint8Array(length), flags: 0 };

      await expect(agent.call('CreateContainer', request(config(['true']), filter))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`the seccomp filter has ${length} bytes`),
      });
    },
  );

  test('must be one that the kernel takes', async () => {
    const filter = { program: new Uint8Array(8), flags: 0 };

    await expect(agent.call('CreateContainer', request(config(['true']), filter))).rejects.toMatchObject({
      message: expect.stringContaining('seccomp filter of 1 instructions: invalid argument'),
    });
  });
});
