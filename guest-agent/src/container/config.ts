// From an OCI config.json to a plan that can be carried out: parsed, checked, and told what is not supported.
// Source: OCI runtime-spec 1.2, config.md and config-linux.md.
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { type JsonObject, lookUp, parseJsonObject } from './json.ts';

/** A namespace that a container may have of its own. */
export type NamespaceKind = 'pid' | 'mount' | 'ipc' | 'uts' | 'cgroup';

export interface MountPlan {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface DevicePlan {
  readonly path: string;
  /** S_IFCHR, S_IFBLK or S_IFIFO. */
  readonly type: number;
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Masks of `1n << capability`. */
export interface CapabilityPlan {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly ambient: bigint;
}

export interface LimitPlan {
  readonly name: string;
  readonly resource: number;
  readonly soft: number;
  readonly hard: number;
}

export interface ProcessPlan {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly umask: number;
  readonly capabilities: CapabilityPlan;
  readonly limits: readonly LimitPlan[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly terminal: boolean;
}

export interface ContainerPlan {
  readonly process: ProcessPlan;
  readonly namespaces: ReadonlySet<NamespaceKind>;
  readonly hostname: string | undefined;
  readonly domainname: string | undefined;
  readonly readonlyRoot: boolean;
  /** Mount flags for `/`, before anything is mounted. */
  readonly rootPropagation: number;
  readonly mounts: readonly MountPlan[];
  readonly devices: readonly DevicePlan[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly sysctl: readonly (readonly [name: string, value: string])[];
  /** Files of the container's cgroup and what to write into them, in order. */
  readonly cgroupFiles: readonly (readonly [file: string, value: string])[];
}

/** A plan and what it leaves out, a line each. */
export interface Parsed<Plan> {
  readonly plan: Plan;
  readonly warnings: readonly string[];
}

function unsupported(path: string, why: string): StatusError {
  return new StatusError('UNIMPLEMENTED', `config.json: ${path} is not supported: ${why}`, { path });
}

function warn(warnings: string[], object: JsonObject | undefined, name: string, effect: string): void {
  if (object?.has(name)) warnings.push(`${object.pathOf(name)} is not applied: ${effect}`);
}

/** Reads a config.json. @throws StatusError INVALID_ARGUMENT or UNIMPLEMENTED, naming the field */
export function parseConfig(text: string): Parsed<ContainerPlan> {
  const warnings: string[] = [];
  const config = parseJsonObject(text, 'config.json');
  const processObject = config.object('process');
  if (processObject === undefined) {
    throw new StatusError('INVALID_ARGUMENT', 'config.json: process is missing, and a container must run something');
  }
  const linux = config.object('linux');
  refuseUnsupported(config, linux);
  warn(warnings, linux, 'seccomp', 'system calls are not filtered; the boundary is the virtual machine');
  warn(warnings, linux, 'mountLabel', 'the guest kernel has no SELinux');
  warn(warnings, linux, 'intelRdt', 'the guest has no such resource');
  warn(warnings, linux, 'netDevices', "network devices are the virtual machine's");
  warn(warnings, linux, 'memoryPolicy', 'the guest has one memory node');
  const resources = linux?.object('resources');
  warn(warnings, resources, 'devices', 'devices are limited to what the virtual machine has, not by cgroup');
  for (const name of ['blockIO', 'hugepageLimits', 'network', 'rdma']) {
    warn(warnings, resources, name, 'the guest kernel has no such controller');
  }
  const plan: ContainerPlan = {
    process: parseProcess(processObject, warnings),
    namespaces: parseNamespaces(linux),
    hostname: config.string('hostname'),
    domainname: config.string('domainname'),
    readonlyRoot: config.object('root')?.boolean('readonly') ?? false,
    rootPropagation: parsePropagation(linux),
    mounts: config.objects('mounts').map((mount) => parseMount(mount, warnings)),
    devices: (linux?.objects('devices') ?? []).map(parseDevice),
    maskedPaths: linux?.strings('maskedPaths') ?? [],
    readonlyPaths: linux?.strings('readonlyPaths') ?? [],
    sysctl: parseSysctl(linux),
    cgroupFiles: resources === undefined ? [] : parseResources(resources),
  };
  if (plan.hostname !== undefined && plan.hostname !== '' && !plan.namespaces.has('uts')) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      'config.json: hostname needs a uts namespace: add one to linux.namespaces',
    );
  }
  return { plan, warnings };
}

/** What would change a container's meaning or isolation if it were left out. */
function refuseUnsupported(config: JsonObject, linux: JsonObject | undefined): void {
  for (const name of ['uidMappings', 'gidMappings']) {
    if (linux?.has(name)) throw unsupported(`linux.${name}`, 'there are no user namespaces yet');
  }
  if (linux?.has('timeOffsets')) throw unsupported('linux.timeOffsets', 'there are no time namespaces yet');
  const domain = linux?.object('personality')?.string('domain') ?? 'LINUX';
  if (domain !== 'LINUX') throw unsupported('linux.personality', `the guest runs LINUX programs only, not ${domain}`);
  const hooks = config.object('hooks');
  for (const name of ['createContainer', 'startContainer']) {
    if (hooks?.has(name)) throw unsupported(`hooks.${name}`, 'hooks do not run inside the guest yet');
  }
}

function parseNamespaces(linux: JsonObject | undefined): Set<NamespaceKind> {
  const kinds = new Set<NamespaceKind>();
  for (const namespace of linux?.objects('namespaces') ?? []) {
    const type = namespace.requiredString('type');
    switch (type) {
      case 'network':
        // The virtual machine's network is the container's: the host decided which one that is.
        break;
      case 'pid':
      case 'mount':
      case 'ipc':
      case 'uts':
      case 'cgroup':
        if (namespace.has('path'))
          throw unsupported(namespace.pathOf('path'), 'namespaces cannot be joined by path yet');
        kinds.add(type);
        break;
      case 'user':
      case 'time':
        throw unsupported(namespace.path, `there are no ${type} namespaces yet`);
      default:
        throw new StatusError(
          'INVALID_ARGUMENT',
          `config.json: ${namespace.pathOf('type')} is "${type}", which is no namespace`,
        );
    }
  }
  if (!kinds.has('mount')) throw unsupported('linux.namespaces', 'a container must have a mount namespace of its own');
  return kinds;
}

/** OCI runtime-spec 1.2, config-linux, "Rootfs Mount Propagation". */
const PROPAGATIONS: Readonly<Record<string, number>> = {
  '': abi.MS_SLAVE | abi.MS_REC,
  private: abi.MS_PRIVATE,
  rprivate: abi.MS_PRIVATE | abi.MS_REC,
  slave: abi.MS_SLAVE,
  rslave: abi.MS_SLAVE | abi.MS_REC,
};

function parsePropagation(linux: JsonObject | undefined): number {
  const name = linux?.string('rootfsPropagation') ?? '';
  const flags = lookUp(PROPAGATIONS, name);
  if (flags === undefined) throw unsupported('linux.rootfsPropagation', `"${name}" cannot reach out of the guest`);
  return flags;
}

function parseMount(mount: JsonObject, warnings: string[]): MountPlan {
  for (const name of ['uidMappings', 'gidMappings']) {
    if (mount.has(name)) throw unsupported(mount.pathOf(name), 'there are no id-mapped mounts yet');
  }
  const options = mount.strings('options');
  if (options.includes('tmpcopyup')) {
    warnings.push(`${mount.pathOf('options')}: tmpcopyup is not applied: the tmpfs begins empty`);
  }
  return {
    destination: mount.requiredString('destination'),
    type: mount.string('type') ?? '',
    source: mount.string('source') ?? '',
    options,
  };
}

/** OCI runtime-spec 1.2, config-linux, "Devices". */
const DEVICE_TYPES: Readonly<Record<string, number>> = {
  c: abi.S_IFCHR,
  u: abi.S_IFCHR,
  b: abi.S_IFBLK,
  p: abi.S_IFIFO,
};
const DEVICE_MODE = 0o666;

function parseDevice(device: JsonObject): DevicePlan {
  const type = lookUp(DEVICE_TYPES, device.requiredString('type'));
  if (type === undefined) {
    throw new StatusError('INVALID_ARGUMENT', `config.json: ${device.pathOf('type')} must be c, u, b or p`);
  }
  return {
    path: device.requiredString('path'),
    type,
    major: device.number('major') ?? 0,
    minor: device.number('minor') ?? 0,
    mode: device.number('fileMode') ?? DEVICE_MODE,
    uid: device.number('uid') ?? 0,
    gid: device.number('gid') ?? 0,
  };
}

/** Settings that belong to a namespace of the container (ipc) or to the machine's network, which is the container's. */
const SYSCTL_IPC = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;
const SYSCTL_NET = /^net\..+$/;

function parseSysctl(linux: JsonObject | undefined): [string, string][] {
  const object = linux?.object('sysctl');
  return (object?.names ?? []).map((name) => {
    // sysctl(8) takes slashes as well; a name must not climb out of /proc/sys.
    const dotted = name.replaceAll('/', '.');
    if (dotted.includes('..') || !(SYSCTL_IPC.test(dotted) || SYSCTL_NET.test(dotted))) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: sysctl "${name}" is not in a separate kernel namespace`);
    }
    return [name.includes('/') ? name : name.replaceAll('.', '/'), object?.requiredString(name) ?? ''];
  });
}

/** Reads an OCI process object: the config's own, or that of an exec. */
export function parseProcess(process: JsonObject, warnings: string[]): ProcessPlan {
  warn(warnings, process, 'apparmorProfile', 'the guest kernel has no AppArmor');
  warn(warnings, process, 'selinuxLabel', 'the guest kernel has no SELinux');
  for (const name of ['scheduler', 'ioPriority', 'execCPUAffinity']) warn(warnings, process, name, 'not supported yet');
  const args = process.strings('args');
  if (args.length === 0) throw new StatusError('INVALID_ARGUMENT', 'config.json: process.args must not be empty');
  const cwd = process.requiredString('cwd');
  if (!cwd.startsWith('/'))
    throw new StatusError('INVALID_ARGUMENT', `config.json: process.cwd "${cwd}" must be absolute`);
  const user = process.object('user');
  return {
    args,
    env: process.strings('env'),
    cwd,
    uid: user?.number('uid') ?? 0,
    gid: user?.number('gid') ?? 0,
    additionalGids: user?.numbers('additionalGids') ?? [],
    umask: user?.number('umask') ?? 0o022,
    capabilities: parseCapabilities(process.object('capabilities'), warnings),
    limits: process.objects('rlimits').map(parseLimit),
    noNewPrivileges: process.boolean('noNewPrivileges'),
    oomScoreAdj: process.number('oomScoreAdj') ?? 0,
    terminal: process.boolean('terminal'),
  };
}

function parseCapabilities(object: JsonObject | undefined, warnings: string[]): CapabilityPlan {
  const set = (name: string): bigint => {
    let mask = 0n;
    for (const capability of object?.strings(name) ?? []) {
      const number = lookUp(abi.CAPABILITIES, capability);
      // OCI runtime-spec 1.2, config, "capabilities": a value that cannot be mapped must be logged as a warning.
      if (number === undefined) warnings.push(`process.capabilities.${name}: ${capability} is not known`);
      else mask |= 1n << BigInt(number);
    }
    return mask;
  };
  const [inheritable, permitted, ambient] = [set('inheritable'), set('permitted'), set('ambient')];
  // capabilities(7): no capability can be ambient that is not both. runc goes on without it, and so do its users' files.
  const raisable = ambient & inheritable & permitted;
  if (raisable !== ambient) {
    warnings.push('process.capabilities.ambient: those that are not permitted and inheritable are left out');
  }
  return { bounding: set('bounding'), effective: set('effective'), inheritable, permitted, ambient: raisable };
}

function parseLimit(limit: JsonObject): LimitPlan {
  const name = limit.requiredString('type');
  const resource = lookUp(abi.RLIMITS, name);
  if (resource === undefined) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      `config.json: ${limit.pathOf('type')} "${name}" is no limit that Linux knows`,
    );
  }
  return { name, resource, soft: limit.requiredNumber('soft'), hard: limit.requiredNumber('hard') };
}

/** cgroup v2 for "no limit" (Documentation/admin-guide/cgroup-v2.rst). */
const limitText = (value: number): string => (value < 0 ? 'max' : String(value));

/** Turns cgroup v1 style resources into files of cgroup v2. */
export function parseResources(resources: JsonObject): [string, string][] {
  const files: [string, string][] = [];
  const memory = resources.object('memory');
  // Zero has always meant "not set" to runc and its callers.
  const limit = memory?.number('limit') || undefined;
  const swap = memory?.number('swap') || undefined;
  if (limit !== undefined) files.push(['memory.max', limitText(limit)]);
  // v1's value is memory and swap together, v2's is swap alone (OCI runtime-spec 1.2, config-linux, "Memory").
  if (swap !== undefined) {
    if (swap >= 0 && limit !== undefined && limit > swap) {
      throw new StatusError('INVALID_ARGUMENT', 'config.json: linux.resources.memory.swap must not be below its limit');
    }
    files.push(['memory.swap.max', limitText(swap < 0 || limit === undefined ? swap : swap - Math.max(limit, 0))]);
  }
  const reservation = memory?.number('reservation');
  if (reservation !== undefined) files.push(['memory.low', limitText(reservation)]);
  const pids = resources.object('pids')?.number('limit');
  if (pids !== undefined && pids !== 0) files.push(['pids.max', limitText(pids)]);
  const cpu = resources.object('cpu');
  const quota = cpu?.number('quota');
  const period = cpu?.number('period');
  if (quota !== undefined || period !== undefined) {
    const quotaText = quota === undefined || quota <= 0 ? 'max' : String(quota);
    files.push(['cpu.max', period === undefined || period === 0 ? quotaText : `${quotaText} ${period}`]);
  }
  const shares = cpu?.number('shares');
  if (shares !== undefined && shares !== 0) files.push(['cpu.weight', String(weightOfShares(shares))]);
  for (const [name, file] of [
    ['cpus', 'cpuset.cpus'],
    ['mems', 'cpuset.mems'],
  ] as const) {
    const value = cpu?.string(name);
    if (value !== undefined && value !== '') files.push([file, value]);
  }
  const unified = resources.object('unified');
  for (const name of unified?.names ?? []) {
    if (!/^[a-z0-9_]+(\.[a-z0-9_]+)+$/i.test(name)) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: linux.resources.unified: "${name}" is no cgroup file`);
    }
    files.push([name, unified?.requiredString(name) ?? '']);
  }
  return files;
}

/** Maps v1's shares (2 to 262144) onto v2's weight (1 to 10000), as runc 1.1 does. */
function weightOfShares(shares: number): number {
  const bounded = Math.min(262144, Math.max(2, shares));
  return 1 + Math.floor(((bounded - 2) * 9999) / 262142);
}
