// Stands in for the kernel's trees of control groups: a folder that behaves as they do, as far as the runtime makes use of it.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { type ControlFiles, KERNEL_FILES } from '../control-files.ts';

const FILES_OF_VERSION_1: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  memory: { 'memory.limit_in_bytes': '9223372036854771712', 'memory.memsw.limit_in_bytes': '9223372036854771712' },
  cpuset: { 'cpuset.cpus': '', 'cpuset.mems': '' },
  freezer: { 'freezer.state': 'THAWED' },
  cpu: { 'cpu.shares': '1024', 'cpu.cfs_quota_us': '-1', 'cpu.cfs_period_us': '100000' },
};

const FILES_OF_VERSION_2: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  memory: { 'memory.max': 'max', 'memory.swap.max': 'max', 'memory.low': '0' },
  cpu: { 'cpu.weight': '100', 'cpu.max': 'max 100000' },
  cpuset: { 'cpuset.cpus': '', 'cpuset.mems': '' },
};

class KernelError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}, ${path}`);
    this.code = code;
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

export class FakeTree implements ControlFiles, Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'cgroups-'));
  /** What was written, in order: "path value". */
  readonly written: string[] = [];
  /** Processes that do not end when they are killed. */
  readonly immortal = new Set<number>();
  readonly #refusals: { readonly pattern: RegExp; readonly errno: string }[] = [];
  readonly #version: 1 | 2;

  /** @param controllers of version 2: what the root has; of version 1: a tree for each is mounted below `root` */
  constructor(version: 1 | 2, controllers: readonly string[]) {
    this.#version = version;
    if (version === 2) {
      this.#put(this.root, { 'cgroup.controllers': controllers.join(' '), 'cgroup.subtree_control': '' });
      this.#put(this.root, { 'cgroup.procs': '' });
      return;
    }
    for (const name of controllers) {
      mkdirSync(join(this.root, name));
      this.#put(join(this.root, name), { 'cgroup.procs': '', ...FILES_OF_VERSION_1[name] });
    }
  }

  /** Has the kernel refuse what is done to paths like this. */
  refuse(pattern: RegExp, errno: string): void {
    this.#refusals.push({ pattern, errno });
  }

  read(path: string): string {
    return readFileSync(path, 'utf8');
  }

  write(path: string, value: string): void {
    this.#check(`${path} ${value}`, path);
    const before = this.read(path);
    this.written.push(`${posix.relative(this.root, path)} ${value}`);
    const [folder, file] = [posix.dirname(path), posix.basename(path)];
    if (file === 'cgroup.kill') this.#killBelow(folder);
    else if (file === 'cgroup.procs') writeFileSync(path, `${before}${value}\n`);
    else if (file === 'cgroup.subtree_control') writeFileSync(path, `${before} ${value.replace('+', '')}`.trim());
    else writeFileSync(path, value);
  }

  makeDirectory(path: string): boolean {
    this.#check(path, path);
    if (!KERNEL_FILES.makeDirectory(path)) return false;
    if (this.#version === 2) {
      const passed = this.#passed(posix.dirname(path));
      this.#put(path, {
        'cgroup.controllers': passed.join(' '),
        'cgroup.subtree_control': '',
        'cgroup.type': 'domain',
      });
      this.#put(path, { 'cgroup.kill': '', 'cgroup.freeze': '0' });
      for (const name of passed) this.#put(path, FILES_OF_VERSION_2[name] ?? {});
    } else {
      const controller = posix.relative(this.root, path).split('/')[0] ?? '';
      this.#put(path, FILES_OF_VERSION_1[controller] ?? {});
    }
    this.#put(path, { 'cgroup.procs': '' });
    return true;
  }

  removeDirectory(path: string): void {
    if (this.children(path).length > 0 || this.pids(path).length > 0) throw new KernelError('EBUSY', path);
    for (const name of filesIn(path)) unlinkSync(join(path, name));
    rmdirSync(path);
  }

  children(path: string): string[] {
    return KERNEL_FILES.children(path);
  }

  /** Pids in one control group. */
  pids(path: string): number[] {
    return this.read(join(path, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  }

  kill(pid: number): void {
    this.written.push(`kill ${pid}`);
    if (this.immortal.has(pid)) return;
    this.#forEach(this.root, (folder) => {
      const left = this.pids(folder).filter((other) => other !== pid);
      writeFileSync(join(folder, 'cgroup.procs'), left.map((other) => `${other}\n`).join(''));
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  #killBelow(folder: string): void {
    this.#forEach(folder, (path) => {
      for (const pid of this.pids(path)) this.kill(pid);
    });
  }

  #forEach(folder: string, visit: (folder: string) => void): void {
    for (const name of this.children(folder)) this.#forEach(join(folder, name), visit);
    if (filesIn(folder).includes('cgroup.procs')) visit(folder);
  }

  #passed(folder: string): string[] {
    return this.read(join(folder, 'cgroup.subtree_control')).split(' ').filter(Boolean);
  }

  #put(folder: string, files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  }

  #check(what: string, path: string): void {
    const refusal = this.#refusals.find(({ pattern }) => pattern.test(what));
    if (refusal !== undefined) throw new KernelError(refusal.errno, path);
  }
}
