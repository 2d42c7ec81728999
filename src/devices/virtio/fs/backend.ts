// What the file system device needs of the host: somebody who serves FUSE requests from its queues.
import type { QueueServer } from '../queue-server.ts';

export interface FsBackend extends QueueServer {
  /**
   * What it knows of the guest's files (which are looked up, which are open), for a snapshot. Its queues are at rest.
   * @throws when it cannot tell
   */
  saveState(): string;
  /**
   * Takes what another one saved, before its queues start.
   * @throws when it cannot go on from there, as when files are gone
   */
  restoreState(state: string): void;
}
