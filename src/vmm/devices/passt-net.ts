// `--net passt`: the network of a program without privileges.
import type { NetBackend } from '../../devices/virtio/net/backend.ts';
import { bestPasstMode, type PasstPorts, startPasst } from '../../host/passt.ts';
import { PasstStream } from '../../host/passt-stream.ts';
import { VhostUserFrontEnd } from '../../host/vhost-user.ts';
import type { BackendContext } from './kind.ts';

/** The receive and the transmit queue. */
const QUEUE_COUNT = 2;

export interface PasstNetOptions extends PasstPorts {
  readonly mtu?: number;
  /** Whether each frame has to go through this process. */
  readonly isCounted: boolean;
}

/** @throws BackEndError, VhostUserError (rejects) */
export async function openPasst(
  { isCounted, ...options }: PasstNetOptions,
  context: BackendContext,
): Promise<NetBackend> {
  const { onEnd, resources } = context;
  const mode = isCounted ? 'stream' : await bestPasstMode();
  const program = resources.use(startPasst({ ...options, mode, onEnd }));
  const backend = await program.open<NetBackend & Disposable>(async (connection) =>
    mode === 'stream'
      ? new PasstStream(connection, program.name)
      : VhostUserFrontEnd.open({ connection, name: program.name, memory: context.memory, queueCount: QUEUE_COUNT }),
  );
  return resources.use(backend);
}
