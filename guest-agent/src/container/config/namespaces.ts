// linux.namespaces, linux.uidMappings, linux.gidMappings and linux.timeOffsets (OCI runtime-spec 1.2, config-linux:
// "Namespaces", "User namespace mappings", "Offset for Time Namespace"). Where texts are runc's, callers match them.
import { StatusError } from '../../../../src/protocol/status.ts';
import type { IdRange } from '../../linux/id-map.ts';
import type { JsonObject } from './json.ts';
import type { ContainerPlan, NamespaceKind, TimeOffset, UserNamespacePlan } from './plan.ts';
import { unsupported } from './problems.ts';

const KINDS: readonly string[] = [
  'user',
  'mount',
  'pid',
  'network',
  'ipc',
  'uts',
  'cgroup',
  'time',
] satisfies NamespaceKind[];
const U32_MAX = 2 ** 32 - 1;
const NANOSECONDS_MAX = 999_999_999;

/** The part of a plan that this file reads. */
export type NamespacesPlan = Pick<ContainerPlan, 'namespaces' | 'userNamespace' | 'timeOffsets'>;

export function parseNamespaces(linux: JsonObject | undefined): NamespacesPlan {
  const namespaces = new Map<NamespaceKind, string | undefined>();
  for (const namespace of linux?.objects('namespaces') ?? []) {
    const type = namespace.requiredString('type');
    if (!isKind(type)) throw invalid(`${namespace.pathOf('type')} is "${type}", which is no namespace`);
    if (namespaces.has(type)) throw invalid(`${namespace.pathOf('type')}: "${type}" is there already: each type once`);
    namespaces.set(type, namespace.has('path') ? namespace.requiredString('path') : undefined);
  }
  const mount = namespaces.get('mount');
  if (!namespaces.has('mount')) {
    throw unsupported('linux.namespaces', "a container must have a mount namespace: its mounts would be the guest's");
  }
  if (mount !== undefined) {
    const why = 'a second root in it would take the place of the first, for everyone there; share volumes instead';
    throw unsupported(`linux.namespaces: the mount namespace ${mount}`, why);
  }
  return { namespaces, userNamespace: parseUser(linux, namespaces), timeOffsets: parseOffsets(linux, namespaces) };
}

function isKind(type: string): type is NamespaceKind {
  return KINDS.includes(type);
}

function parseUser(
  linux: JsonObject | undefined,
  namespaces: NamespacesPlan['namespaces'],
): UserNamespacePlan | undefined {
  const uidMappings = (linux?.objects('uidMappings') ?? []).map(parseMapping);
  const gidMappings = (linux?.objects('gidMappings') ?? []).map(parseMapping);
  const isAny = uidMappings.length > 0 || gidMappings.length > 0;
  if (!namespaces.has('user')) {
    if (isAny) {
      throw invalid("user namespace mappings specified, but user namespace isn't enabled in linux.namespaces");
    }
    return undefined;
  }
  if (namespaces.get('user') === undefined) {
    requireRoot('uid', 'user', uidMappings);
    requireRoot('gid', 'group', gidMappings);
  }
  return { uidMappings, gidMappings };
}

/** The container is put together by the root of its user namespace. */
function requireRoot(ids: string, whose: string, mappings: readonly IdRange[]): void {
  if (mappings.length === 0) throw invalid(`user namespaces enabled, but no ${ids} mappings found`);
  if (!mappings.some(({ inner }) => inner === 0)) {
    throw invalid(`user namespaces enabled, but no ${whose} mapping found for 0, the root: linux.${ids}Mappings`);
  }
}

export function parseMapping(mapping: JsonObject): IdRange {
  const number = (name: string, least: number): number => {
    mapping.requiredNumber(name);
    return mapping.numberWithin(name, least, U32_MAX) ?? 0;
  };
  return { inner: number('containerID', 0), outer: number('hostID', 0), size: number('size', 1) };
}

function parseOffsets(linux: JsonObject | undefined, namespaces: NamespacesPlan['namespaces']): TimeOffset[] {
  const object = linux?.object('timeOffsets');
  const offsets = (object?.names ?? []).map((clock): TimeOffset => {
    if (clock !== 'monotonic' && clock !== 'boottime') {
      throw invalid(`linux.timeOffsets.${clock}: time namespaces have the clocks monotonic and boottime only`);
    }
    const offset = object?.object(clock);
    return {
      clock,
      seconds: offset?.number('secs') ?? 0,
      nanoseconds: offset?.numberWithin('nanosecs', 0, NANOSECONDS_MAX) ?? 0,
    };
  });
  if (offsets.length > 0 && !namespaces.has('time')) {
    throw invalid("time namespace offsets specified, but time namespace isn't enabled in linux.namespaces");
  }
  if (offsets.length > 0 && namespaces.get('time') !== undefined) {
    throw invalid('linux.timeOffsets are of a new time namespace; the one to join has its own already');
  }
  return offsets;
}

function invalid(problem: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', `config.json: ${problem}`);
}
