// linux.namespaces on the host. The namespaces of a container are its guest's; on the host its proxy stands for it, in namespaces
// of its own that callers name by path: they configure the network there, and have other containers share the rest. A path that is
// another container's of the same VM is shared in the guest; nothing of the host, and nothing of another VM, can be.
import { lstatSync, statfsSync, statSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import type { Namespace, NamespaceType } from '../oci/config.ts';
import { SANDBOX_ID_ANNOTATION } from '../oci/cri-annotations.ts';
import { namespacePath } from '../oci/guest-config.ts';
import { HOST_NAMESPACES, type HostNamespace } from './proxy-request.ts';
import { RuntimeError } from './runtime-error.ts';
import type { ContainerRecord } from './state-store.ts';

/**
 * The namespaces of a container by type: `device:inode` of what each is on the host; empty where it is the guest's alone. The types
 * that are missing are those of the VM itself.
 */
export type NamespaceIdentities = Readonly<Partial<Record<NamespaceType, string>>>;

export interface NamespacePlan {
  /** For the proxy. */
  readonly host: readonly HostNamespace[];
  /** By type, the container of the same VM with which it is shared; empty for what the VM has itself. Others are new. */
  readonly shared: Readonly<Partial<Record<NamespaceType, string>>>;
  readonly identities: NamespaceIdentities;
  /** Whether there is a network on the host that is to be the container's: not where it is the host's own. */
  readonly hasNetwork: boolean;
}

/** A container that runs. */
export type Neighbour = Pick<ContainerRecord, 'id' | 'sandboxId' | 'init' | 'namespaces'>;

/**
 * Decides where the namespaces of a container come from.
 * @param vm whose it shares, and that container while it runs; undefined when it gets its own
 * @param neighbours gives all containers that run: many, perhaps, and asked for only where there is a path that is not that one's
 * @throws RuntimeError INVALID_NAMESPACE
 */
export function planNamespaces(
  namespaces: readonly Namespace[],
  vm: { readonly sandboxId: string; readonly first?: Neighbour } | undefined,
  neighbours: () => readonly Neighbour[],
): NamespacePlan {
  const sandboxId = vm?.sandboxId;
  // A VM's first container is there for as long as any other is, which may be gone before the namespace is joined.
  const candidates = [
    () => (vm?.first === undefined ? [] : [vm.first]),
    once(() => neighbours().toSorted((a, b) => Number(a.sandboxId !== undefined) - Number(b.sandboxId !== undefined))),
  ];
  const host: HostNamespace[] = [];
  const shared: Partial<Record<NamespaceType, string>> = {};
  const identities: Partial<Record<NamespaceType, string>> = {};
  let hasNetwork = false;
  for (const { type, path = '' } of namespaces) {
    if (isHostType(type)) host.push({ type, ...(path === '' ? {} : { path }) });
    const source = path === '' ? ({ kind: 'new' } as const) : findSource(type, path, candidates);
    if (type === 'network') {
      checkNetwork(source, path, sandboxId);
      hasNetwork = source.kind !== 'host';
    } else if (source.kind === 'neighbour') {
      shared[type] = ownerInVm(type, path, source.neighbour, sandboxId);
      if (shared[type] === '') continue;
    } else if (source.kind === 'host') {
      shared[type] = '';
      continue;
    }
    identities[type] = 'identity' in source ? source.identity : '';
  }
  return { host, shared, identities, hasNetwork };
}

type Source =
  | { readonly kind: 'new' }
  /** One that the caller has bound, and that no container has yet. */
  | { readonly kind: 'bound'; readonly identity: string }
  /** The host's own: for a container it is the VM's own that takes its place. */
  | { readonly kind: 'host' }
  | { readonly kind: 'neighbour'; readonly identity: string; readonly neighbour: Neighbour };

/** Whose namespace a path is. @param candidates lists of containers, asked for in turn until it is one of theirs */
function findSource(type: NamespaceType, path: string, candidates: readonly (() => readonly Neighbour[])[]): Source {
  const identity = identityOf(path);
  const pid = processOf(path);
  if (type === 'mount') throw invalid(type, path, 'each container has a mount namespace of its own');
  for (const list of candidates) {
    const neighbour = list().find(
      (one) => (pid !== undefined && one.init?.pid === pid) || identityIn(one, type) === identity,
    );
    if (neighbour !== undefined) return { kind: 'neighbour', identity, neighbour };
  }
  if (identityOf(namespacePath(type, 'self')) === identity) return { kind: 'host' };
  if (pid !== undefined && type !== 'network') {
    throw invalid(type, path, `it is that of process ${pid} of the host, and the container has a kernel of its own`);
  }
  return { kind: 'bound', identity };
}

/** The network of a VM is the one that its first container was given, and of no other VM. */
function checkNetwork(source: Source, path: string, sandboxId: string | undefined): void {
  if (sandboxId === undefined) {
    if (source.kind === 'neighbour') ownerInVm('network', path, source.neighbour, sandboxId);
    return;
  }
  if (source.kind === 'host') return;
  if (source.kind === 'neighbour' && vmOf(source.neighbour) === sandboxId) return;
  const what = path === '' ? 'a new one' : path;
  const message = `linux.namespaces: the network namespace cannot be ${what}: containers of one virtual machine share its network, which is that of ${sandboxId}; give the path of its network namespace`;
  throw new RuntimeError('INVALID_NAMESPACE', message, { path });
}

/** @returns the container with which a namespace is shared; empty where that has the VM's own */
function ownerInVm(type: NamespaceType, path: string, owner: Neighbour, sandboxId: string | undefined): string {
  if (vmOf(owner) !== sandboxId) {
    const why = `it is that of container ${owner.id}, which runs in another virtual machine; to put both into one, set the annotation ${SANDBOX_ID_ANNOTATION} to ${vmOf(owner)}`;
    throw invalid(type, path, why);
  }
  return owner.namespaces?.[type] === undefined ? '' : owner.id;
}

function vmOf({ id, sandboxId }: Neighbour): string {
  return sandboxId ?? id;
}

function isHostType(type: NamespaceType): type is HostNamespace['type'] {
  return Object.hasOwn(HOST_NAMESPACES, type);
}

/** What a container's namespace is on the host, if it has one of this type. */
function identityIn({ init, namespaces }: Neighbour, type: NamespaceType): string | undefined {
  const identity = namespaces?.[type];
  if (identity !== '' || !isHostType(type) || init === undefined) return identity;
  const stat = statSync(namespacePath(type, init.pid), { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

/** The process whose namespace a path names. */
function processOf(path: string): number | undefined {
  const match = /^\/proc\/(\d+)\/(?:task\/\d+\/)?ns\/\w+$/.exec(path);
  return match === null ? undefined : Number(match[1]);
}

/** Of a file of nsfs, whose numbers are the same wherever it is bound: NSFS_MAGIC of linux/magic.h. */
const NSFS_MAGIC = 0x6e736673;

/** @throws RuntimeError INVALID_NAMESPACE, with runc's words for a path that is not there */
function identityOf(path: string): string {
  try {
    lstatSync(path);
    const { dev, ino } = statSync(path);
    if (statfsSync(path).type === NSFS_MAGIC) return `${dev}:${ino}`;
  } catch (cause) {
    const why = getSystemErrorMessage((cause as NodeJS.ErrnoException).errno ?? 0);
    const message = `unable to create new parent process: namespace path: lstat ${path}: ${why}`;
    throw new RuntimeError('INVALID_NAMESPACE', message, { path }, { cause });
  }
  throw new RuntimeError('INVALID_NAMESPACE', `linux.namespaces: ${path} is no namespace`, { path });
}

function invalid(type: NamespaceType, path: string, why: string): RuntimeError {
  const message = `linux.namespaces: the ${type} namespace ${path} cannot be joined: ${why}`;
  return new RuntimeError('INVALID_NAMESPACE', message, { path });
}

/** Calls it when its result is wanted first. */
function once<Result>(make: () => Result): () => Result {
  let made: { readonly result: Result } | undefined;
  return () => {
    made ??= { result: make() };
    return made.result;
  };
}
