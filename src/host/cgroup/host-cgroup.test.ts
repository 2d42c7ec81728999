import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HostCgroup } from './host-cgroup.ts';
import type { ControlWrite, SandboxLimits } from './limits.ts';
import { membersOf } from './members.ts';
import type { CgroupRecord } from './plan.ts';
import type { Systemd } from './systemd.ts';
import { FakeTree } from './testing/fake-tree.ts';

const CONTROLLERS = ['memory', 'cpu', 'cpuset'];
const PID = 4711;

function limits(resources: SandboxLimits['resources'] = {}): SandboxLimits {
  return { resources, vmMemoryBytes: 1000, overheadBytes: 24 };
}

interface Asked {
  readonly path?: string;
  readonly isOptional?: boolean;
  readonly unit?: CgroupRecord['unit'];
}

function recordOn2(tree: FakeTree, { path = 'a/c1', isOptional = false, unit }: Asked = {}): CgroupRecord {
  const places = [{ controllers: [], mountPoint: tree.root, path: join(tree.root, path) }];
  return { version: 2, places, isOptional, isClaimed: false, ...(unit === undefined ? {} : { unit }) };
}

function recordOn1(tree: FakeTree, names: readonly string[], isOptional = false): CgroupRecord {
  const places = names.map((name) => ({
    controllers: name === 'unified' ? [] : [name],
    mountPoint: join(tree.root, name),
    path: join(tree.root, name, 'a/c1'),
  }));
  return { version: 1, places, isOptional, isClaimed: false };
}

const NO_SYSTEMD: Systemd = { start: () => {}, limit: () => {}, stop: () => {} };

function cgroupOf(tree: FakeTree, record: CgroupRecord, systemd = NO_SYSTEMD): HostCgroup {
  return new HostCgroup(record, { files: tree, systemd, kill: (pid) => tree.kill(pid), sleep: () => {} });
}

/** Made and entered, as a container has it. */
function made(tree: FakeTree, record: CgroupRecord): HostCgroup {
  const cgroup = cgroupOf(tree, record);
  cgroup.claim();
  cgroup.make(limits());
  cgroup.enterFirst(PID, 'c1', limits());
  return cgroup;
}

describe('on version 2', () => {
  test('controllers are passed down the path, and the limits hold before a process enters', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const cgroup = cgroupOf(tree, recordOn2(tree));

    cgroup.claim();
    cgroup.make(limits({ cpu: { shares: 1024 } }));
    cgroup.enterFirst(PID, 'c1', limits());

    expect(tree.written).toEqual([
      ...['memory', 'cpu', 'cpuset'].map((name) => `cgroup.subtree_control +${name}`),
      ...['memory', 'cpu', 'cpuset'].map((name) => `a/cgroup.subtree_control +${name}`),
      'a/c1/memory.max 1024',
      'a/c1/cpu.weight 100',
      `a/c1/cgroup.procs ${PID}`,
    ]);
  });

  test('what was passed down already is left alone', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    made(tree, recordOn2(tree));
    tree.written.length = 0;

    made(tree, recordOn2(tree, { path: 'a/c2' }));

    expect(tree.written).toEqual(['a/c2/memory.max 1024', `a/c2/cgroup.procs ${PID}`]);
  });

  test('a controller that cannot be passed down is missed by the limit that needs it, and by nobody else', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/subtree_control \+memory/, 'EBUSY');
    const cgroup = cgroupOf(tree, recordOn2(tree));

    cgroup.make(limits({ cpu: { shares: 1024 } }));

    expect(tree.written).toContain('a/c1/cpu.weight 100');
    expect(() => cgroup.make(limits({ memory: { limit: 1000 } }))).toThrow(
      /linux\.resources\.memory\.limit: cannot set .*memory\.max to "1024".*cgroup\.subtree_control does not pass memory on/,
    );
  });

  test.each([
    ['domain invalid', 'it is in an invalid state: a control group above it has processes of its own'],
    ['threaded', 'it is in threaded mode'],
    ['domain threaded', 'it is in domain threaded mode'],
  ])('a cgroup of the type "%s" takes no limit of memory', (type, message) => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.makeDirectory(join(tree.root, 'a'));
    tree.write(join(tree.root, 'a/cgroup.type'), type);
    const cgroup = cgroupOf(tree, recordOn2(tree));

    expect(() => cgroup.make(limits({ memory: { limit: 1000 } }))).toThrow(message);
  });

  test('below threads, one without such limits becomes one for threads', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.makeDirectory(join(tree.root, 'a'));
    tree.write(join(tree.root, 'a/cgroup.type'), 'domain invalid');

    cgroupOf(tree, recordOn2(tree)).make(limits());

    expect(tree.read(join(tree.root, 'a/cgroup.type'))).toBe('threaded');
  });

  test.each([
    ['EBUSY', 'it passes controllers on to control groups below it'],
    ['EOPNOTSUPP', 'it is for threads'],
    ['ENOENT', 'it has been removed'],
  ])('a process that cannot enter (%s) is told why', (errno, message) => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/c1\/cgroup\.procs/, errno);

    expect(() => made(tree, recordOn2(tree))).toThrow(message);
  });

  test('a process that has ended by then is no error', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/c1\/cgroup\.procs/, 'ESRCH');

    expect(() => made(tree, recordOn2(tree))).not.toThrow();
  });
});

describe('on version 1', () => {
  test('a cpuset has what its parents have before a process enters', () => {
    using tree = new FakeTree(1, ['cpuset']);
    tree.write(join(tree.root, 'cpuset/cpuset.cpus'), '0-3\n');
    tree.write(join(tree.root, 'cpuset/cpuset.mems'), '0\n');
    tree.written.length = 0;

    made(tree, recordOn1(tree, ['cpuset']));

    expect(tree.written).toEqual([
      'cpuset/a/cpuset.cpus 0-3',
      'cpuset/a/cpuset.mems 0',
      'cpuset/a/c1/cpuset.cpus 0-3',
      'cpuset/a/c1/cpuset.mems 0',
      `cpuset/a/c1/cgroup.procs ${PID}`,
    ]);
  });

  test('each limit goes to the tree of its controller', () => {
    using tree = new FakeTree(1, ['memory', 'cpu']);

    cgroupOf(tree, recordOn1(tree, ['memory', 'cpu'])).make(limits({ cpu: { shares: 512 } }));

    expect(tree.written).toEqual(['memory/a/c1/memory.limit_in_bytes 1024', 'cpu/a/c1/cpu.shares 512']);
  });

  test('a limit without a tree is an error', () => {
    using tree = new FakeTree(1, ['memory']);
    const cgroup = cgroupOf(tree, recordOn1(tree, ['memory']));

    expect(() => cgroup.make(limits({ cpu: { shares: 512 } }))).toThrow(
      'cannot set cpu limit: container could not join or create cgroup',
    );
  });

  test('the tree of version 2 beside them is no loss', () => {
    using tree = new FakeTree(1, ['memory', 'unified']);
    tree.refuse(/unified\/a/, 'EROFS');

    const { places } = made(tree, recordOn1(tree, ['memory', 'unified'])).record;

    expect(places.map(({ controllers }) => controllers)).toEqual([['memory']]);
  });

  test('what is frozen is thawed, killed and removed', () => {
    using tree = new FakeTree(1, ['memory', 'freezer']);
    const cgroup = made(tree, recordOn1(tree, ['memory', 'freezer']));
    tree.written.length = 0;

    cgroup.remove();

    expect(tree.written).toEqual(['freezer/a/c1/freezer.state THAWED', `kill ${PID}`]);
    expect(existsSync(join(tree.root, 'memory/a/c1'))).toBe(false);
    expect(existsSync(join(tree.root, 'freezer/a/c1'))).toBe(false);
  });
});

describe('a cgroup that is there already', () => {
  test('with processes, or with some below it, is refused and left alone', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    made(tree, recordOn2(tree, { path: 'a/c1/inner' }));
    tree.written.length = 0;
    const cgroup = cgroupOf(tree, recordOn2(tree));

    expect(() => cgroup.claim()).toThrow("container's cgroup is not empty: 1 process(es) found");
    cgroup.remove();

    expect(tree.written).toEqual([]);
    expect(membersOf(tree, join(tree.root, 'a'))).toEqual([PID]);
  });

  test.each([2, 1] as const)('and frozen is refused, on version %i', (version) => {
    using tree = new FakeTree(version, version === 2 ? CONTROLLERS : ['freezer']);
    const record = version === 2 ? recordOn2(tree) : recordOn1(tree, ['freezer']);
    const path = record.places[0]?.path ?? '';
    cgroupOf(tree, record).make(limits());
    tree.write(join(path, version === 2 ? 'cgroup.freeze' : 'freezer.state'), version === 2 ? '1' : 'FROZEN');

    expect(() => cgroupOf(tree, record).claim()).toThrow("container's cgroup unexpectedly frozen");
  });

  test('and empty is taken over', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.makeDirectory(join(tree.root, 'a'));
    tree.makeDirectory(join(tree.root, 'a/c1'));

    made(tree, recordOn2(tree)).remove();

    expect(tree.children(join(tree.root, 'a'))).toEqual([]);
  });
});

describe('removal', () => {
  test('kills what is left, in nested ones too, and may be done again', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const cgroup = made(tree, recordOn2(tree));
    made(tree, recordOn2(tree, { path: 'a/c1/inner/most' }));

    cgroup.remove();
    cgroup.remove();

    expect(tree.written).toContain('a/c1/cgroup.kill 1');
    expect(tree.children(join(tree.root, 'a'))).toEqual([]);
  });

  test('by a record of what was claimed only, as a verb that was killed has left it', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const cgroup = cgroupOf(tree, recordOn2(tree));
    cgroup.claim();
    const kept = cgroup.record;
    cgroup.make(limits());

    cgroupOf(tree, kept).remove();

    expect(tree.children(join(tree.root, 'a'))).toEqual([]);
  });

  test('names the processes that do not end', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const cgroup = made(tree, recordOn2(tree));
    tree.immortal.add(PID);

    expect(() => cgroup.remove()).toThrow(`(EBUSY): processes ${PID} do not end, though they were killed`);
  });
});

describe('changes of limits', () => {
  test('are made all or not at all', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const cgroup = made(tree, recordOn2(tree));
    tree.refuse(/cpuset\.cpus/, 'ERANGE');

    expect(() => cgroup.limit(limits({ cpu: { shares: 2, cpus: '99' } }))).toThrow(
      /linux\.resources\.cpu\.cpus: cannot set .*cpuset\.cpus to "99": ERANGE/,
    );

    expect(tree.read(join(tree.root, 'a/c1/cpu.weight'))).toBe('100');
  });

  test('that fit only after others are made after them', () => {
    using tree = new FakeTree(1, ['memory']);
    const cgroup = made(tree, recordOn1(tree, ['memory']));
    const first = join(tree.root, 'memory/a/c1/memory.limit_in_bytes');
    const files = Object.assign(Object.create(tree) as FakeTree, {
      write(path: string, value: string) {
        const isTooSoon = path === first && !tree.written.some((line) => line.includes('memsw'));
        if (isTooSoon) throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
        tree.write(path, value);
      },
    });
    tree.written.length = 0;

    new HostCgroup(cgroup.record, { files, systemd: NO_SYSTEMD, kill: () => {}, sleep: () => {} }).limit(
      limits({ memory: { limit: 1000, swap: 1500 } }),
    );

    expect(tree.written).toEqual([
      'memory/a/c1/memory.memsw.limit_in_bytes 1524',
      'memory/a/c1/memory.limit_in_bytes 1024',
    ]);
  });
});

describe('without the right to make one', () => {
  test('it is an error that says what to do', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/\/a$/, 'EACCES');

    expect(() => made(tree, recordOn2(tree))).toThrow(/cannot make the control group .*: EACCES.*run as root/);
  });

  test('a rootless caller who asks for nothing does without', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/\/a$/, 'EACCES');

    expect(made(tree, recordOn2(tree, { isOptional: true })).record.places).toEqual([]);
  });

  test('a rootless caller who asks for limits is told, in the words of runc', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    tree.refuse(/\/a$/, 'EACCES');
    const cgroup = cgroupOf(tree, recordOn2(tree, { isOptional: true }));

    expect(() => cgroup.make(limits({ cpu: { shares: 2 } }))).toThrow(
      'rootless needs no limits + no cgrouppath when no permission is granted for cgroups',
    );
  });

  test('on version 1 a rootless caller goes without those trees alone', () => {
    using tree = new FakeTree(1, ['memory', 'cpu']);
    tree.refuse(/cpu\/a/, 'EACCES');
    const cgroup = made(tree, recordOn1(tree, ['memory', 'cpu'], true));

    expect(cgroup.record.places.map(({ controllers }) => controllers)).toEqual([['memory']]);
    expect(() => cgroup.limit(limits({ cpu: { shares: 2 } }))).toThrow('cannot set cpu limit');
  });

  test('on version 1 a rootless caller need not enter', () => {
    using tree = new FakeTree(1, ['memory']);
    tree.refuse(/cgroup\.procs/, 'EACCES');

    expect(() => made(tree, recordOn1(tree, ['memory'], true))).not.toThrow();
  });
});

describe('where systemd manages the host', () => {
  const unit = { name: 'p-c1.scope', slice: 'a.slice', isUser: false };

  /** Makes the folder when it starts the unit, as systemd does. */
  function fakeSystemd(tree: FakeTree, calls: unknown[]): Systemd {
    const files = (writes: readonly ControlWrite[]) => writes.map(({ file }) => file);
    return {
      start(unit, id, pid, version, writes) {
        calls.push(['start', unit.name, id, pid, version, files(writes)]);
        for (const name of CONTROLLERS) tree.write(join(tree.root, 'cgroup.subtree_control'), `+${name}`);
        tree.makeDirectory(join(tree.root, 'a'));
      },
      limit: (unit, version, writes) => calls.push(['limit', unit.name, version, files(writes)]),
      stop: (unit) => calls.push(['stop', unit.name]),
    };
  }

  test('it makes the cgroup of the first process, learns of limits, and ends it', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const calls: unknown[] = [];
    const cgroup = cgroupOf(tree, recordOn2(tree, { unit }), fakeSystemd(tree, calls));

    cgroup.claim();
    cgroup.make(limits());
    const before = [...tree.written];
    cgroup.enterFirst(PID, 'c1', limits());
    cgroup.limit(limits({ cpu: { shares: 2 } }));
    cgroup.remove();

    expect(before).toEqual([]);
    expect(calls).toEqual([
      ['start', 'p-c1.scope', 'c1', PID, 2, ['memory.max']],
      ['limit', 'p-c1.scope', 2, ['memory.max', 'cpu.weight']],
      ['stop', 'p-c1.scope'],
    ]);
    expect(tree.written).toContain(`a/c1/cgroup.procs ${PID}`);
    expect(tree.children(join(tree.root, 'a'))).toEqual([]);
  });

  test('limits are as they were when it refuses them', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const systemd: Systemd = {
      ...fakeSystemd(tree, []),
      limit() {
        throw new Error('refused');
      },
    };
    const cgroup = cgroupOf(tree, recordOn2(tree, { unit }), systemd);
    cgroup.enterFirst(PID, 'c1', limits());

    expect(() => cgroup.limit(limits({ cpu: { quota: 12_345, period: 50_000 } }))).toThrow('refused');

    expect(tree.read(join(tree.root, 'a/c1/cpu.max'))).toBe('max 100000');
  });

  test('the kernel is told exactly what it rounds', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const path = join(tree.root, 'a/c1/cpu.max');
    const systemd: Systemd = { ...fakeSystemd(tree, []), limit: () => tree.write(path, '12500 50000') };
    const cgroup = cgroupOf(tree, recordOn2(tree, { unit }), systemd);
    cgroup.enterFirst(PID, 'c1', limits());

    cgroup.limit(limits({ cpu: { quota: 12_345, period: 50_000 } }));

    expect(tree.read(path)).toBe('12345 50000');
  });

  test('and does not answer at the end, what it made is removed all the same', () => {
    using tree = new FakeTree(2, CONTROLLERS);
    const systemd: Systemd = {
      ...fakeSystemd(tree, []),
      stop() {
        throw new Error('no answer');
      },
    };
    const cgroup = cgroupOf(tree, recordOn2(tree, { unit }), systemd);
    cgroup.claim();
    cgroup.enterFirst(PID, 'c1', limits());

    cgroup.remove();

    expect(tree.children(join(tree.root, 'a'))).toEqual([]);
  });
});
