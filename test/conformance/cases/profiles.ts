// The filters that container engines give to every container, as they came out of these (../profiles): what must run under them
// runs, and what they forbid is answered as they say.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities, containerConfig, type Parts } from '../config.ts';
import type { Place } from '../place.ts';

const ENGINES = ['docker', 'podman', 'containerd'] as const;

type EngineName = (typeof ENGINES)[number];

function profileOf(engine: EngineName): Parts {
  return JSON.parse(readFileSync(join(import.meta.dirname, `../profiles/${engine}.json`), 'utf8')) as Parts;
}

/** Programs of the machine that have libc, threads and scripts, beside busybox, which is all in itself. */
const PROGRAMS = ['bash', 'perl', 'xz'];

/** Puts busybox and the programs into the root file system, with the libraries that they are linked to. */
function addPrograms({ rootfs }: Place): void {
  const paths = PROGRAMS.map((name) => `/usr/bin/${name}`);
  const linked = execFileSync('ldd', paths, { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  const libraries = new Set([...linked].map(([, path = '']) => path));
  for (const path of ['/bin/busybox', ...paths, ...libraries]) {
    mkdirSync(dirname(join(rootfs, path)), { recursive: true });
    copyFileSync(path, join(rootfs, path));
    chmodSync(join(rootfs, path), 0o755);
  }
}

/** Each line prints one of the lines of `PRINTED`. */
const SCRIPT = String.raw`set -e
busybox --install -s /bin
printf 'b\na\nc\n' | sort -r | tr '\n' ' ' | sed 's/ $/\n/'
mkdir -p /tmp/d/e && cd /tmp/d && seq 500 > e/numbers && tar -czf all.tgz e && rm -r e && tar -xzf all.tgz && wc -l < e/numbers
awk '{ sum += $1 } END { print sum }' e/numbers
find . -name numbers -exec md5sum {} + | cut -c 1-8
mkfifo pipe; (echo through a pipe > pipe &) ; cat pipe
sleep 0.01 & wait $! && echo waited
chown 1000:1000 pipe && chmod 640 pipe && stat -c '%u %a' pipe
su -s /bin/sh user -c 'id -u'
status=0; sh -c 'kill -TERM $$' 2> /dev/null || status=$?; echo "ended with $status"
(echo over a socket | nc -l -p 8080 > /dev/null &) ; until nc 127.0.0.1 8080 < /dev/null 2> /dev/null; do :; done
dd if=/dev/urandom bs=1k count=64 2> /dev/null | gzip | gunzip | wc -c
date -u -d @0 +%Y; { ps; df; free; uptime; } > /dev/null; ulimit -n 100; ulimit -n
seq 20000 > numbers && /usr/bin/xz -0 -T2 --block-size=16KiB -k numbers && /usr/bin/xz -dc numbers.xz | cmp - numbers && echo threads
bash -c 'cat <(echo "a shell of GNU")'
perl -e 'pipe R, W; unless (fork) { close R; print W "from a child\n"; exit } close W; print <R>; wait; $SIG{ALRM} = sub { print "alarm\n" }; kill ALRM => $$; select undef, undef, undef, 0.01'
for command in 'mount -t tmpfs none /tmp' 'umount /proc' 'pivot_root / /tmp'; do $command 2> /dev/null && echo "$command went through"; done; echo kept`;

const PRINTED = [
  'c b a',
  '500',
  '125250',
  '5705e3c0',
  'through a pipe',
  'waited',
  '1000 640',
  '1000',
  'ended with 143',
  'over a socket',
  '65536',
  '1970',
  '100',
  'threads',
  'a shell of GNU',
  'from a child',
  'alarm',
  'kept',
];

/** All that the calls below need: where they fail it is by the filter. */
const MIGHTY = capabilities(
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_MODULE',
  'CAP_SYS_NICE',
  'CAP_SYS_PACCT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_TIME',
  'CAP_SYSLOG',
  'CAP_BPF',
  'CAP_PERFMON',
  'CAP_DAC_READ_SEARCH',
);
/** The mark of the x32 calls (arch/x86/include/uapi/asm/unistd.h, __X32_SYSCALL_BIT). */
const X32_BIT = 0x4000_0000;

/** A call of the probe, what the profiles of docker and podman make of it, and containerd's where it is not docker's. */
type Row = readonly [command: string, docker: unknown, podman: unknown, containerd?: unknown];
/** Nothing to compare: the profile allows the call, and it is the kernel's affair what comes of it. */
const ALLOWED = undefined;

const CALLS: readonly Row[] = [
  // mount(2) and umount2(2), the mounts of new style, pivot_root(2)
  ['mount none /tmp tmpfs', 'EPERM', 'ok'],
  ['umount /tmp', 'EPERM', 'ok'],
  ['syscall 430 0', 'EPERM', 'EFAULT'],
  ['syscall 428 -1 /none', 'EPERM', 'ENOENT'],
  ['syscall 155 /none /none', 'EPERM', 'ENOENT'],
  // keyctl(2), add_key(2)
  ['key none', 'EPERM', ALLOWED],
  ['keep none', 'EPERM', 'ENOSYS'],
  // unshare(2), clone(2), setns(2)
  ['fork unshare user', { 'unshare user': 'EPERM' }, { 'unshare user': 'ok' }],
  ['fork syscall 56 0x10000011', { 'syscall 56 0x10000011': 'EPERM' }, ALLOWED],
  ['syscall 308 -1 0', 'EPERM', 'EBADF'],
  // clone3(2), whose arguments no filter can see; calls newer than the profile
  ['syscall 435 0 0', 'ENOSYS', 'EINVAL'],
  ['syscall 462 0 0', 'ENOSYS', 'ENOSYS'],
  ['syscall 1000', 'ENOSYS', 'ENOSYS'],
  // personality(2): no randomised addresses; bits above what the profile compares with; a question
  ['fork syscall 135 0x40000', { 'syscall 135 0x40000': 'EPERM' }, { 'syscall 135 0x40000': 'ENOSYS' }],
  ['fork syscall 135 0x100000000', { 'syscall 135 0x100000000': 'EPERM' }, { 'syscall 135 0x100000000': 'ENOSYS' }],
  ['syscall 135 0xffffffff', 0, 0],
  // bpf(2), perf_event_open(2), userfaultfd(2), io_uring_setup(2)
  ['syscall 321 5 0 0', 'EPERM', 'EPERM'],
  ['syscall 298 0 0', 'EPERM', 'EPERM'],
  ['syscall 323 0', 'EPERM', 'EPERM'],
  ['syscall 425 0 0', 'EPERM', 'ENOSYS', ALLOWED],
  // init_module(2), kexec_load(2), reboot(2), iopl(2), settimeofday(2), acct(2), vhangup(2), sethostname(2), syslog(2)
  ['syscall 175 0 0 /none', 'EPERM', 'EPERM'],
  ['syscall 246 0 0 0 0', 'EPERM', 'EPERM'],
  ['syscall 169 0 0 0', 'EPERM', 'EINVAL'],
  ['syscall 172 3', 'EPERM', 'EPERM'],
  ['syscall 164 0 0', 'EPERM', 'EPERM'],
  ['syscall 163 /none', 'EPERM', 'EPERM'],
  ['syscall 153', 'EPERM', 'EPERM'],
  ['syscall 170 /none 5', 'EPERM', 'EPERM'],
  ['syscall 103 99', 'EPERM', 'EINVAL'],
  // open_by_handle_at(2), kcmp(2), ptrace(2)
  ['syscall 304 -1 0 0', 'EPERM', 'EPERM'],
  ['syscall 312 1 1 0', 'EPERM', 'EPERM'],
  ['syscall 101 -1 0', 'ESRCH', 'ESRCH'],
  // socket(2): AF_VSOCK, NETLINK_AUDIT, TCP
  ['socket 40 1', 'EPERM', ALLOWED],
  ['socket 16 3 9', ALLOWED, 'EINVAL'],
  ['socket 2 1', 'ok', 'ok'],
  // mount(2) by its x32 number
  [`syscall ${X32_BIT + 165} /none /none`, 'EPERM', ALLOWED],
];

/** Some of the calls where no filter is. */
const FREE = {
  'mount none /tmp tmpfs': 'ok',
  'umount /tmp': 'ok',
  'syscall 430 0': 'EFAULT',
  'syscall 428 -1 /none': 'ENOENT',
  'syscall 155 /none /none': 'ENOENT',
  'fork unshare user': { 'unshare user': 'ok' },
  'syscall 308 -1 0': 'EBADF',
  'syscall 435 0 0': 'EINVAL',
  'fork syscall 135 0x40000': { 'syscall 135 0x40000': 0 },
  'syscall 321 5 0 0': 'E2BIG',
  'syscall 170 /none 5': 0,
};

/** What the calls find under the profile of an engine. */
function answers(engine: EngineName): Readonly<Record<string, unknown>> {
  const column = { docker: 1, podman: 2, containerd: 3 }[engine];
  const rows = CALLS.map((row) => [row[0], column < row.length ? row[column] : row[1]] as const);
  return Object.fromEntries(rows.filter(([, answer]) => answer !== ALLOWED));
}

function runsPrograms(engine: EngineName): Case {
  return {
    name: `shells and programs run under the profile of ${engine}`,
    field: 'linux.seccomp',
    async scenario(runtime) {
      const place = runtime.place();
      addPrograms(place);
      const ended = await runtime.run(place, containerConfig(['/bin/busybox', 'sh', '-c', SCRIPT], profileOf(engine)));
      expect({ ...ended, stdout: ended.stdout.trim().split('\n') }).toEqual({ status: 0, stdout: PRINTED, stderr: '' });
    },
  };
}

function forbidsCalls(engine: EngineName): Case {
  return {
    name: `what the profile of ${engine} forbids is forbidden to who has all rights`,
    field: 'linux.seccomp',
    config: { ...profileOf(engine), process: { capabilities: MIGHTY } },
    commands: Object.keys(answers(engine)),
    finds: answers(engine),
  };
}

export const profileCases: readonly Case[] = [
  // containerd's allows all that docker's allows.
  ...(['docker', 'podman'] as const).map(runsPrograms),
  ...ENGINES.map(forbidsCalls),
  {
    name: 'without a profile they are not forbidden',
    field: 'linux.seccomp',
    config: { process: { capabilities: MIGHTY } },
    commands: Object.keys(FREE),
    finds: FREE,
  },
];
