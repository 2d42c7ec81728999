// Kubernetes: the RuntimeClass by which pods ask for the handler that containerd or CRI-O has (node.k8s.io/v1).
import { type Engine, RUNTIME } from './engine.ts';
import { InstallError } from './install-error.ts';

const FIRST_LINE = '# Written by "tskata install kubernetes".\n';

/** @param hostMemoryOverheadMib what the scheduler and the pod's cgroup add for the processes around the guest */
export function runtimeClass(hostMemoryOverheadMib: number): string {
  return `${FIRST_LINE}apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: ${RUNTIME}
handler: ${RUNTIME}
overhead:
  podFixed:
    memory: ${hostMemoryOverheadMib}Mi
`;
}

export const kubernetes: Engine = {
  file: undefined,
  install({ path, text = FIRST_LINE }, { hostMemoryOverheadMib }) {
    checkOurs(path, text);
    return { text: runtimeClass(hostMemoryOverheadMib) };
  },
  uninstall({ path, text }) {
    checkOurs(path, text ?? FIRST_LINE);
    return { text: undefined };
  },
  next: {
    install: 'kubectl apply -f FILE; pods ask for it with runtimeClassName: tskata',
    uninstall: 'kubectl delete runtimeclass tskata',
  },
};

function checkOurs(path: string, text: string): void {
  if (text.startsWith(FIRST_LINE)) return;
  throw new InstallError('NOT_OURS', `${path} was not written by "tskata install": name another file`, { path });
}
