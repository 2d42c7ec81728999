// linux.namespaces (OCI runtime-spec 1.2, config-linux, "Namespaces").
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';
import type { NamespaceKind } from './plan.ts';
import { unsupported } from './problems.ts';

export function parseNamespaces(linux: JsonObject | undefined): Map<NamespaceKind, string | undefined> {
  const kinds = new Map<NamespaceKind, string | undefined>();
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
        kinds.set(type, undefined);
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
