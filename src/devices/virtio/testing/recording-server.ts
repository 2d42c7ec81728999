// A queue server that serves nothing, and remembers what it was asked to do.
import type { ActivationContext } from '../device.ts';
import type { QueueServer, ServedQueues } from '../queue-server.ts';

export class RecordingServer implements QueueServer {
  readonly features: bigint;
  /** What was asked, in words. */
  readonly log: string[] = [];
  /** Of the last start. */
  context: ActivationContext | undefined;

  constructor(features: bigint) {
    this.features = features;
  }

  start(context: ActivationContext): ServedQueues {
    this.context = context;
    this.log.push('start');
    return {
      quiesce: async () => void this.log.push('quiesce'),
      resume: () => void this.log.push('resume'),
      [Symbol.dispose]: () => void this.log.push('stop'),
    };
  }

  idle(): undefined {
    return undefined;
  }
}
