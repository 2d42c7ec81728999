// How engines say in annotations that a container is one of a pod, and in whose VM it is to be.
import { ConfigError } from './check.ts';

export interface PodMembership {
  /** The container whose VM it is. */
  readonly sandboxId: string;
  /** The annotation that says so. */
  readonly annotation: string;
  /** The engine names a sandbox also where there is none: then the container has a VM of its own. */
  readonly isOptional: boolean;
}

/** Our own: for callers that know no pods, such as `docker run --annotation`. */
export const SANDBOX_ID_ANNOTATION = 'io.tskata.sandbox-id';

/** CRI-O (pkg/annotations/internal) and containerd (pkg/annotations): in this order, as CRI-O passes on whatever a pod has. */
const KUBERNETES = [
  { type: 'io.kubernetes.cri-o.ContainerType', id: 'io.kubernetes.cri-o.SandboxID' },
  { type: 'io.kubernetes.cri.container-type', id: 'io.kubernetes.cri.sandbox-id' },
];
const MEMBER = 'container';

/** podman takes CRI-O's annotation, without the type, and with the pod's own id in older releases or without an infra container. */
const MANAGER = 'io.container.manager';
const PODMAN = 'libpod';

/**
 * Whose VM a container shares.
 * @returns undefined for one that has its own, that of a pod's sandbox among them
 * @throws ConfigError for a member of a pod that does not say of which
 */
export function podMembership(
  containerId: string,
  annotations: Readonly<Record<string, string>> = {},
): PodMembership | undefined {
  const found = findMembership(annotations);
  return found?.sandboxId === containerId ? undefined : found;
}

function findMembership(annotations: Readonly<Record<string, string>>): PodMembership | undefined {
  const own = annotations[SANDBOX_ID_ANNOTATION];
  // Who writes a pod writes its annotations, and is not to choose another one's VM.
  if (own !== undefined && KUBERNETES.some(({ type }) => annotations[type] !== undefined)) {
    throw new ConfigError(
      `annotations["${SANDBOX_ID_ANNOTATION}"]`,
      own,
      'none in a pod, whose engine tells the sandbox',
    );
  }
  if (own !== undefined) return { sandboxId: own, annotation: SANDBOX_ID_ANNOTATION, isOptional: false };
  const isOptional = annotations[MANAGER] === PODMAN;
  for (const { type, id } of KUBERNETES) {
    const sandboxId = annotations[id];
    const kind = annotations[type];
    if (kind === MEMBER && !sandboxId) {
      throw new ConfigError(`annotations["${id}"]`, sandboxId, `the id of the pod's sandbox, as ${type} is ${MEMBER}`);
    }
    if (sandboxId && (kind === MEMBER || (isOptional && !kind))) return { sandboxId, annotation: id, isOptional };
    // This engine has told what it is: what stands there of another one came with the pod.
    if (kind !== undefined) return undefined;
  }
  return undefined;
}
