// The API's entry: gRPC is loaded when somebody serves a VM, and not before.
import type { VmControl } from './control.ts';
import type { ApiServer } from './server.ts';

/**
 * Serves a VM's management API on a Unix socket of mode 0600, until the result is disposed: after the VM's end too.
 * @throws UnixListenerError when the socket cannot be had (rejects)
 */
export async function serveApi(path: string, vm: VmControl): Promise<ApiServer> {
  const server = await import('./server.ts');
  return server.serveApi(path, vm);
}
