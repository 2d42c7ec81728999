// What a program in a container sees and may do.
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, TestAgent } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const lines = (text: string): string[] => text.trimEnd().split('\n');

describe('the program', () => {
  test('gets its arguments, environment and working directory', async () => {
    const outcome = await agent.shell('echo $0 $GREETING; pwd', {
      process: { env: ['PATH=/bin', 'GREETING=hello'], cwd: '/made/on/demand' },
    });
    expect(lines(outcome.stdout)).toEqual(['sh hello', '/made/on/demand']);
  });

  test('has HOME from /etc/passwd unless it is set', async () => {
    const process = { user: { uid: 1000, gid: 1000 } };
    expect((await agent.shell('echo $HOME', { process })).stdout).toBe('/home\n');
    const env = ['PATH=/bin', 'HOME=/tmp'];
    expect((await agent.shell('echo $HOME', { process: { ...process, env } })).stdout).toBe('/tmp\n');
  });

  test('writes to the stream it means to', async () => {
    expect(await agent.shell('echo out; echo err >&2')).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
  });

  test.each([0, 1, 42, 255])('ends with exit status %i', async (status) => {
    expect(await agent.shell(`exit ${status}`)).toMatchObject({ exitStatus: status, signal: 0 });
  });

  test('is seen to end by the signal that ended it', async () => {
    // Pid 1 of a pid namespace takes no signal that it has no handler for, so another process must send it to another.
    const outcome = await agent.shell('sh -c "kill -15 \\$\\$"; echo $?');
    expect(outcome.stdout).toBe('143\n');
  });

  test('has no descriptors but its three', async () => {
    expect(lines((await agent.shell('ls /proc/self/fd')).stdout)).toEqual(['0', '1', '2', '3']);
  });

  test('has no signal blocked or ignored', async () => {
    const { stdout } = await agent.run(config(['grep', '-E', 'Sig(Blk|Ign)', '/proc/self/status']));
    expect(stdout).toBe('SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
  });
});

describe('namespaces', () => {
  test('make it pid 1 with a hostname of its own', async () => {
    expect((await agent.shell('echo $$; hostname')).stdout).toBe('1\nbox\n');
  });

  test('show a cgroup tree that begins at its own', async () => {
    const { stdout } = await agent.shell('grep ^0:: /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs');
    expect(lines(stdout)).toEqual(['0::/', '/sys/fs/cgroup/cgroup.procs']);
  });

  test("leave no mount behind in the guest's own", async () => {
    await agent.shell('true');
    expect(readFileSync(`/proc/${agent.pid}/mounts`, 'utf8')).not.toContain('rootfs-');
  });
});

describe('the root file system', () => {
  test('is all there is', async () => {
    const names = lines((await agent.shell('ls /')).stdout);
    expect(names).toEqual(['bin', 'dev', 'etc', 'home', 'proc', 'sys', 'tmp']);
  });

  test('has the default devices and links', async () => {
    const { stdout } = await agent.shell('cd /dev; ls; stat -c "%a %t:%T" null tty; readlink fd; readlink ptmx');
    const names = [
      'fd',
      'full',
      'mqueue',
      'null',
      'ptmx',
      'pts',
      'random',
      'shm',
      'stderr',
      'stdin',
      'stdout',
      'tty',
      'urandom',
      'zero',
    ];
    expect(lines(stdout)).toEqual([...names, '666 1:3', '666 5:0', '/proc/self/fd', 'pts/ptmx']);
  });

  test('has the devices of the configuration', async () => {
    const devices = [{ path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 1000, gid: 7 }];
    const { stdout } = await agent.shell('stat -c "%a %t:%T %u:%g" /dev/net/tun', { linux: { devices } });
    expect(stdout).toBe('600 a:c8 1000:7\n');
  });

  test('is read-only when that is asked for, and its tmpfs mounts are not', async () => {
    const outcome = await agent.shell('touch /x; touch /dev/shm/y && echo written', { root: { readonly: true } });
    expect(outcome.stdout).toBe('written\n');
    expect(outcome.stderr).toContain('Read-only file system');
  });

  test('hides masked paths and protects read-only ones', async () => {
    const outcome = await agent.shell(
      'wc -c < /proc/keys; ls /sys/firmware; echo 1 > /proc/sys/kernel/printk; echo done',
    );
    expect(lines(outcome.stdout)).toEqual(['0', 'done']);
    expect(outcome.stderr).toContain('Read-only file system');
  });
});

describe('mounts', () => {
  const withMount = (mount: object) => ({ mounts: [...config([]).mounts, mount] });

  test('bind a directory, with what is below it', async () => {
    const source = join(agent.directory, 'volume');
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'sub/file'), 'content');
    const mount = { destination: '/data/volume', type: 'bind', source, options: ['rbind'] };
    expect((await agent.shell('cat /data/volume/sub/file; touch /data/volume/new', withMount(mount))).stdout).toBe(
      'content',
    );
    expect(readdirSync(source)).toEqual(['new', 'sub']);
  });

  test('bind a file, read-only', async () => {
    const source = join(agent.directory, 'hosts');
    writeFileSync(source, 'here\n');
    const mount = { destination: '/etc/hosts', type: 'bind', source, options: ['bind', 'ro'] };
    const outcome = await agent.shell('cat /etc/hosts; echo x > /etc/hosts', withMount(mount));
    expect(outcome.stdout).toBe('here\n');
    expect(outcome.stderr).toContain('Read-only file system');
  });

  test('give a tmpfs its options, and the mode of the directory it covers', async () => {
    const mount = { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'noexec', 'size=1m'] };
    const { stdout } = await agent.shell('grep " /tmp " /proc/mounts; stat -c %a /tmp', withMount(mount));
    expect(stdout).toMatch(/tmpfs \/tmp tmpfs rw,nosuid,noexec,relatime,size=1024k 0 0\n1777\n/);
  });

  test('make everything below a recursive bind read-only with rro', async () => {
    const mount = { destination: '/again', type: 'bind', source: '/dev', options: ['rbind', 'rro'] };
    const outcome = await agent.shell('grep " /again" /proc/mounts', withMount(mount));
    expect(lines(outcome.stdout).every((line) => line.split(' ')[3]?.startsWith('ro'))).toBe(true);
  });

  test('never lead outside of the root, whatever links the image holds', async () => {
    const rootfs = agent.makeRootfs();
    const outside = join(agent.directory, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(rootfs, 'escape'));
    symlinkSync('../../../../../../../../etc', join(rootfs, 'up'));
    const source = join(agent.directory, 'volume2');
    mkdirSync(source);
    writeFileSync(join(source, 'mark'), '');
    const mounts = [
      ...config([]).mounts,
      { destination: '/escape/x', type: 'bind', source, options: ['bind'] },
      { destination: '/up/y', type: 'bind', source, options: ['bind'] },
    ];
    const outcome = await agent.run(config(['sh', '-c', `ls ${outside}/x /etc/y`], { mounts }), rootfs);
    expect(outcome.stdout.match(/mark/g)).toHaveLength(2);
    expect(readdirSync(outside)).toEqual([]);
  });

  test('follow a link to nowhere inside the root, as for /etc/resolv.conf', async () => {
    const rootfs = agent.makeRootfs();
    symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(rootfs, 'etc/resolv.conf'));
    const source = join(agent.directory, 'resolv.conf');
    writeFileSync(source, 'nameserver 10.0.0.1\n');
    const mounts = [...config([]).mounts, { destination: '/etc/resolv.conf', type: 'bind', source, options: ['bind'] }];
    const outcome = await agent.run(config(['cat', '/run/systemd/resolve/stub-resolv.conf'], { mounts }), rootfs);
    expect(outcome.stdout).toBe('nameserver 10.0.0.1\n');
  });

  test('refuse /proc where the image has a link', async () => {
    const rootfs = agent.makeRootfs();
    symlinkSync('/tmp', join(rootfs, 'proc2'));
    const mounts = [{ destination: '/proc2', type: 'proc', source: 'proc' }];
    const run = agent.run(config(['true'], { mounts }), rootfs);
    await expect(run).rejects.toMatchObject({ message: expect.stringContaining('too many levels of symbolic links') });
  });
});

describe('rights', () => {
  test('are those of the user, the groups and the umask given', async () => {
    const process = { user: { uid: 1000, gid: 1001, additionalGids: [5, 6], umask: 0o077 } };
    const { stdout } = await agent.shell('id -u; id -g; id -G; umask; echo x > /dev/stderr', { process });
    expect(lines(stdout)).toEqual(['1000', '1001', '1001 5 6', '0077']);
  });

  test("leave the guest's /dev/null as it is", async () => {
    await agent.shell('true', { process: { user: { uid: 1000, gid: 1000 } } });
    expect(statSync('/dev/null').uid).toBe(0);
  });

  test('are exactly the five capability sets', async () => {
    const capabilities = {
      bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_RAW'],
      permitted: ['CAP_CHOWN', 'CAP_KILL'],
      effective: ['CAP_CHOWN'],
      inheritable: ['CAP_KILL'],
      ambient: ['CAP_KILL'],
    };
    const document = config(['grep', '^Cap', '/proc/self/status'], { process: { capabilities } });
    // CAP_CHOWN is bit 0, CAP_KILL 5, CAP_NET_RAW 13. A program that root runs gets all of the bounding set (capabilities(7)).
    expect((await agent.run(document)).stdout).toContain('CapBnd:\t0000000000002021\nCapAmb:\t0000000000000020\n');
    const user = { ...document, process: { ...document.process, user: { uid: 1000, gid: 1000 } } };
    const asUser = ['CapInh:\t0000000000000020', 'CapPrm:\t0000000000000020', 'CapEff:\t0000000000000020'];
    expect((await agent.run(user)).stdout).toContain(asUser.join('\n'));
  });

  test('are none where the configuration gives none', async () => {
    const document = config(['grep', '^CapBnd', '/proc/self/status'], { process: { capabilities: undefined } });
    expect((await agent.run(document)).stdout).toBe('CapBnd:\t0000000000000000\n');
  });

  test('cannot grow with noNewPrivileges', async () => {
    const document = config(['grep', 'NoNewPrivs', '/proc/self/status'], { process: { noNewPrivileges: true } });
    expect((await agent.run(document)).stdout).toBe('NoNewPrivs:\t1\n');
  });

  test('are bounded by the limits given', async () => {
    // RLIM_INFINITY, 2^64 - 1, is no exact number in JSON as JavaScript reads it.
    const rlimits = [
      { type: 'RLIMIT_NOFILE', soft: 100, hard: 200 },
      { type: 'RLIMIT_CORE', soft: 2 ** 64, hard: 2 ** 64 },
    ];
    const { stdout } = await agent.shell('grep -E "open files|core file" /proc/self/limits', { process: { rlimits } });
    expect(stdout).toMatch(/core file size +unlimited +unlimited/);
    expect(stdout).toMatch(/open files +100 +200/);
  });

  test('do not include the protection from the OOM killer', async () => {
    expect((await agent.shell('cat /proc/self/oom_score_adj')).stdout).toBe('0\n');
    expect((await agent.shell('cat /proc/self/oom_score_adj', { process: { oomScoreAdj: 500 } })).stdout).toBe('500\n');
  });
});

describe('kernel settings', () => {
  test('apply to the container alone', async () => {
    const before = readFileSync('/proc/sys/kernel/msgmax', 'utf8');
    const sysctl = { 'kernel.msgmax': '4242', 'net.ipv4.ip_unprivileged_port_start': '80' };
    const { stdout } = await agent.shell('cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start', {
      linux: { sysctl },
    });
    expect(stdout).toBe('4242\n80\n');
    expect(readFileSync('/proc/sys/kernel/msgmax', 'utf8')).toBe(before);
  });

  test.each(['kernel.panic', 'net/../kernel/panic', 'net..kernel'])(
    "refuse %s, which is the machine's",
    async (name) => {
      const run = agent.shell('true', { linux: { sysctl: { [name]: '1' } } });
      await expect(run).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});
