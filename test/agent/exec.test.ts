// More processes in a running container.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
let containerId: string;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});
beforeEach(async () => {
  containerId = uniqueId();
  await agent.create(containerId, config(['sleep', '1000']), stdioRequest({ stdout: false, stderr: false }));
  await agent.call('StartContainer', { containerId });
});
afterEach(async () => {
  await agent.call('DeleteContainer', { containerId, force: true });
});

let serial = 0;

async function exec(args: string[], process: object = {}, ignorePaused = false) {
  serial += 1;
  const processId = `exec-${serial}`;
  const stdio = stdioRequest({ stderr: false });
  const document = { ...config(args).process, ...process };
  const request = { containerId, processId, ociProcessJson: JSON.stringify(document), stdio, ignorePaused };
  const { pid, warnings } = await agent.call('ExecProcess', request);
  const output = collect(await agent.stream(stdio, 'stdout'));
  const ended = agent.call('WaitProcess', { containerId, processId });
  return { pid, warnings, output: output.then(String), ended, processId };
}

test('runs in the namespaces and the cgroup of the container', async () => {
  const { output, ended } = await exec([
    'sh',
    '-c',
    'hostname; ls -d /proc/1; cat /proc/1/comm; grep ^0:: /proc/self/cgroup; exit 3',
  ]);
  expect(await output).toBe('box\n/proc/1\nsleep\n0::/\n');
  expect(await ended).toEqual({ exitStatus: 3, signal: 0, coreDumped: false });
});

test('has rights, environment and working directory of its own', async () => {
  const { output } = await exec(['sh', '-c', 'id -u; pwd; echo $A'], {
    user: { uid: 1000, gid: 1000 },
    cwd: '/tmp',
    env: ['PATH=/bin', 'A=b'],
  });
  expect(await output).toBe('1000\n/tmp\nb\n');
});

test('has no descriptors but its three', async () => {
  const { output } = await exec(['ls', '/proc/self/fd']);
  expect(await output).toBe('0\n1\n2\n3\n');
});

test('ends by a signal of its own', async () => {
  const { processId, ended } = await exec(['sleep', '1000']);
  await agent.call('SignalProcess', { containerId, processId, signal: 15, all: false });
  expect(await ended).toEqual({ exitStatus: 0, signal: 15, coreDumped: false });
});

test('leaves the agent in its own pid namespace', async () => {
  await (await exec(['true'])).ended;
  const other = await agent.run(config(['sh', '-c', 'echo $$']));
  expect(other.stdout).toBe('1\n');
});

test('ends with the container', async () => {
  const { ended } = await exec(['sleep', '1000']);
  await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
  expect(await ended).toMatchObject({ signal: 9 });
});

test('of a missing program fails at once, as runc does', async () => {
  await expect(exec(['nothing'])).rejects.toMatchObject({
    message: 'exec: "nothing": executable file not found in $PATH',
  });
});

test('of a missing program fails every time, however fast its process ends', async () => {
  const attempts = await Promise.allSettled(Array.from({ length: 40 }, () => exec(['nothing'])));
  expect(attempts.filter(({ status }) => status === 'fulfilled')).toEqual([]);
});

test('in a working directory that is missing fails as runc does', async () => {
  await expect(exec(['true'], { cwd: '/missing' })).rejects.toMatchObject({
    message: 'chdir to cwd ("/missing") set in config.json failed: no such file or directory',
  });
});

test('needs a name that is free and a container that runs', async () => {
  const request = {
    containerId,
    processId: '',
    ociProcessJson: JSON.stringify(config(['true']).process),
    stdio: stdioRequest(),
    ignorePaused: false,
  };
  await expect(agent.call('ExecProcess', request)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
  await agent.call('WaitProcess', { containerId, processId: '' });
  const late = agent.call('ExecProcess', { ...request, processId: 'late' });
  await expect(late).rejects.toMatchObject({ message: 'container not running' });
});

test('many at once are kept apart', async () => {
  const all = await Promise.all(
    Array.from({ length: 12 }, (_, index) => exec(['sh', '-c', `echo ${index}; exit ${index}`])),
  );
  expect(await Promise.all(all.map(({ output }) => output))).toEqual(all.map((_, index) => `${index}\n`));
  const endings = await Promise.all(all.map(({ ended }) => ended));
  expect(endings.map(({ exitStatus }) => exitStatus)).toEqual(all.map((_, index) => index));
});

describe('in a container that has not been started', () => {
  const SCRIPT = 'hostname; cat /program; grep ^0:: /proc/self/cgroup; id -u; exit 3';
  let rootfs: string;
  let stdio: ReturnType<typeof stdioRequest>;

  async function create(linux: object = {}) {
    await agent.call('DeleteContainer', { containerId, force: true });
    rootfs = agent.makeRootfs();
    writeFileSync(join(rootfs, 'program'), 'its root\n');
    stdio = stdioRequest({ stderr: false });
    const document = config(['sh', '-c', 'cat /left; sleep 1000; true'], { linux });
    await agent.create(containerId, document, stdio, rootfs);
  }

  const [namespaces, MAPPING] = [
    ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network', 'user'].map((type) => ({ type })),
    [{ containerID: 0, hostID: 100_000, size: 65_536 }],
  ];

  test.each<[string, object]>([
    ['with namespaces of its own', {}],
    ['with a user namespace', { namespaces, uidMappings: MAPPING, gidMappings: MAPPING }],
    ['in the pid namespace of the guest', { namespaces: [{ type: 'mount' }, { type: 'uts' }, { type: 'cgroup' }] }],
  ])('%s, is where its program will be', async (_, linux) => {
    await create(linux);
    const { output, ended } = await exec(['sh', '-c', SCRIPT]);
    const { processes } = await agent.call('ListProcesses', { containerId });

    expect(await output).toBe('box\nits root\n0::/\n0\n');
    expect(await ended).toEqual({ exitStatus: 3, signal: 0, coreDumped: false });
    expect(processes.length).toBeGreaterThan(0);
  });

  test('leaves it to be started', async () => {
    await create();
    await (await exec(['sh', '-c', 'echo $$ > /left; echo left >> /left'])).ended;
    await agent.call('StartContainer', { containerId });
    const stdout = await agent.stream(stdio, 'stdout');
    const [first] = await once(stdout, 'data');
    stdout.destroy();

    expect(String(first)).toBe('2\nleft\n');
    expect(await (await exec(['cat', '/proc/1/comm'])).output).toBe('sh\n');
  });

  test('goes on when that is started', async () => {
    await create();
    const { output, ended } = await exec(['sh', '-c', 'until grep -q ^sh /proc/1/comm; do sleep 0.05; done; echo on']);
    await agent.call('StartContainer', { containerId });

    expect(await output).toBe('on\n');
    expect(await ended).toMatchObject({ exitStatus: 0 });
  });

  test('sees nothing of what the agent is, nor of its descriptors', async () => {
    await create();
    const { output } = await exec([
      'sh',
      '-c',
      'ls /proc/1/root/ /proc/1/cwd/; cd /proc/1; readlink exe fd/0 fd/3; cat environ; :',
    ]);

    expect(await output).toBe('');
  });

  test.each<[string, object]>([
    ['with namespaces of its own', {}],
    ['in the pid namespace of the guest', { namespaces: [{ type: 'mount' }, { type: 'uts' }] }],
  ])('%s, ends with it when its init process is killed', async (_, linux) => {
    await create(linux);
    const { ended } = await exec(['sleep', '1000']);
    await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });

    expect(await ended).toMatchObject({ signal: 9 });
  });

  test('ends when it is deleted, without force', async () => {
    await create();
    const { ended } = await exec(['sleep', '1000']);
    await agent.call('DeleteContainer', { containerId, force: false });

    expect(await ended).toMatchObject({ signal: 9 });
    // For the one that is removed after each test.
    await agent.create(containerId, config(['true']), stdioRequest({ stdout: false, stderr: false }));
  });

  test('has a terminal', async () => {
    await create();
    serial += 1;
    const streams = stdioRequest({ terminal: true });
    const ociProcessJson = JSON.stringify({ ...config(['tty']).process, terminal: true });
    const request = { containerId, processId: `exec-${serial}`, ociProcessJson, stdio: streams, ignorePaused: false };
    await agent.call('ExecProcess', request);

    expect(String(await collect(await agent.stream(streams, 'terminal')))).toBe('/dev/pts/0\r\n');
  });

  test('and is paused is refused, unless it is told to wait', async () => {
    await create();
    await agent.call('PauseContainer', { containerId });
    await expect(exec(['true'])).rejects.toMatchObject({ message: 'cannot exec in a paused container' });
    const made = exec(['echo', 'resumed'], {}, true);
    await agent.call('ResumeContainer', { containerId });

    expect(await (await made).output).toBe('resumed\n');
  });
});

/** What a program prints that looks at itself, run in a container with attributes of its own. */
async function execIn(process: object, args: string[], execProcess: object, linux: object = {}) {
  const id = uniqueId();
  await agent.create(id, config(['sleep', '1000'], { process, linux }), stdioRequest({ stdout: false, stderr: false }));
  await agent.call('StartContainer', { containerId: id });
  const stdio = stdioRequest();
  const document = { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...execProcess };
  const request = { containerId: id, processId: 'e', ociProcessJson: JSON.stringify(document), stdio };
  await agent.call('ExecProcess', { ...request, ignorePaused: false });
  const output = String(await collect(await agent.stream(stdio, 'stdout')));
  await agent.call('DeleteContainer', { containerId: id, force: true });
  return output;
}

describe('where it says nothing', () => {
  const capabilities = { bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], effective: ['CAP_KILL'] };

  test("has the container's capabilities, limits, umask, adjustment, scheduler and personality", async () => {
    const process = {
      capabilities,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 88 }],
      user: { uid: 0, gid: 0, umask: 0o027 },
      oomScoreAdj: 321,
      noNewPrivileges: true,
      scheduler: { policy: 'SCHED_OTHER', nice: 5 },
      ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 7 },
    };
    const script = [
      'grep -E "^(CapBnd|NoNewPrivs)" /proc/self/status',
      'grep "open files" /proc/self/limits',
      'umask',
      'cat /proc/self/oom_score_adj',
      'busybox ionice -p $$',
      'set -- $(cat /proc/self/stat); shift 18; echo $1',
      'busybox uname -m',
    ].join('; ');
    const personality = { domain: 'LINUX32' };
    const output = await execIn(process, ['sh', '-c', script], {}, { personality });
    expect(output.replace(/ +/g, ' ').split('\n')).toEqual([
      'CapBnd:\t0000000000000020',
      'NoNewPrivs:\t1',
      'Max open files 77 88 files ',
      '0027',
      '321',
      'best-effort: prio 7',
      '5',
      'i686',
      '',
    ]);
  });

  test('has what it says instead', async () => {
    const process = {
      capabilities,
      oomScoreAdj: 321,
      noNewPrivileges: true,
      scheduler: { policy: 'SCHED_OTHER', nice: 5 },
    };
    const own = {
      capabilities: { bounding: ['CAP_CHOWN'] },
      noNewPrivileges: false,
      oomScoreAdj: 1,
      scheduler: { policy: 'SCHED_OTHER', nice: 2 },
    };
    const script =
      'grep -E "^(CapBnd|NoNewPrivs)" /proc/self/status; cat /proc/self/oom_score_adj; set -- $(cat /proc/self/stat); shift 18; echo $1';
    const output = await execIn(process, ['sh', '-c', script], own);
    expect(output).toBe('CapBnd:\t0000000000000001\nNoNewPrivs:\t0\n1\n2\n');
  });
});

test.each([
  [{ final: '0' }, '0'],
  [{ final: '1' }, '1'],
  [{ initial: '1' }, '1'],
  [{ initial: '0', final: '0-1' }, '0-1'],
])('with execCPUAffinity %j runs on %s', async (execCPUAffinity, shown) => {
  const { output } = await exec(['grep', 'Cpus_allowed_list', '/proc/self/status'], { execCPUAffinity });
  expect(await output).toBe(`Cpus_allowed_list:\t${shown}\n`);
});

test('with an affinity to processors that there are none of is refused', async () => {
  await expect(exec(['true'], { execCPUAffinity: { initial: '4000' } })).rejects.toMatchObject({
    message: 'error setting initial CPU affinity: sched_setaffinity 4000: invalid argument',
  });
});

test("of the container's own process has no affinity, which is for others", async () => {
  const { stdout } = await agent.run(
    config(['grep', 'Cpus_allowed_list', '/proc/self/status'], { process: { execCPUAffinity: { final: '0' } } }),
  );
  expect(stdout).toBe('Cpus_allowed_list:\t0-1\n');
});

test('has a terminal of the size that its process object says, unless the request does', async () => {
  const size = async (terminalRows: number, terminalColumns: number) => {
    serial += 1;
    const stdio = { ...stdioRequest({ terminal: true }), terminalRows, terminalColumns };
    const document = { ...config(['stty', 'size']).process, terminal: true, consoleSize: { height: 33, width: 111 } };
    const request = { containerId, processId: `exec-${serial}`, ociProcessJson: JSON.stringify(document), stdio };
    await agent.call('ExecProcess', { ...request, ignorePaused: false });
    return String(await collect(await agent.stream(stdio, 'terminal')));
  };
  expect(await size(0, 0)).toBe('33 111\r\n');
  expect(await size(10, 20)).toBe('10 20\r\n');
});

test.each<[string, string[], object, string]>([
  ['a directory', ['/bin'], {}, 'exec: "/bin": is a directory'],
  ['a file without permission', ['/etc/passwd'], {}, 'exec: "/etc/passwd": permission denied'],
  ['a program that is not there', ['/none'], {}, 'exec: "/none": stat /none: no such file or directory'],
  [
    'a program in a file',
    ['pwd'],
    { cwd: '/etc/passwd' },
    'chdir to cwd ("/etc/passwd") set in config.json failed: not a directory',
  ],
])('of %s is refused in the words of runc', async (_, args, process, message) => {
  await expect(exec(args, process)).rejects.toMatchObject({ message });
});

test('never begins in a directory of the guest, whatever descriptor leads there', async () => {
  const attempts = await Promise.allSettled(
    Array.from({ length: 24 }, (_, fd) => exec(['pwd'], { cwd: `/proc/self/fd/${fd}` })),
  );
  expect(attempts.filter(({ status }) => status === 'fulfilled')).toEqual([]);
});

test('goes into a paused container when it is told to, and runs when that is resumed', async () => {
  await agent.call('PauseContainer', { containerId });
  const stdio = stdioRequest({ stderr: false });
  const ociProcessJson = JSON.stringify(config(['echo', 'resumed']).process);
  const request = { containerId, processId: 'patient', ociProcessJson, stdio };
  const made = agent.call('ExecProcess', { ...request, ignorePaused: true });
  await agent.call('ResumeContainer', { containerId });
  await made;
  expect(String(await collect(await agent.stream(stdio, 'stdout')))).toBe('resumed\n');
});

test('a hundred, one after the other, leave their statuses', async () => {
  const statuses: number[] = [];
  for (let index = 0; index < 100; index++) {
    const { ended } = await exec(['sh', '-c', `exit ${index}`]);
    statuses.push((await ended).exitStatus);
  }
  expect(statuses).toEqual(Array.from({ length: 100 }, (_, index) => index));
});

test('that leave children behind leave no zombies', async () => {
  const script = 'for i in 1 2 3 4 5; do (sleep 0.05; true) & done; exit 0';
  const runs = await Promise.all(Array.from({ length: 10 }, () => exec(['sh', '-c', script])));
  await Promise.all(runs.map(({ ended }) => ended));
  const wait = await exec(['sh', '-c', 'while [ "$(busybox pgrep sh | wc -l)" -gt 1 ]; do sleep 0.05; done']);
  await wait.ended;
  // The container's own process is no init and reaps nobody: what is left there is its own. None are the agent's.
  const states = agentChildren().filter(({ state }) => state === 'Z');
  expect(states).toEqual([]);
});

/** Children of the agent and the letters of their states (proc_pid_stat(5)). */
function agentChildren(): { pid: string; state: string }[] {
  const children = (pid: number | string) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((child) => child !== '');
  return children(agent.pid)
    .flatMap(children)
    .map((pid) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return { pid, state: stat.charAt(stat.lastIndexOf(')') + 2) };
    });
}
