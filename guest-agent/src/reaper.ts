// Takes every child that ends: the agent's own and, as pid 1, whoever was left behind.
import { type EventLoop, Pollable } from './event-loop.ts';
import * as abi from './linux/abi.gen.ts';
import { tryRead } from './linux/file.ts';
import { type Ending, openChildSignals, reapChild } from './linux/process.ts';

export class Reaper {
  readonly #waiting = new Map<number, (ending: Ending) => void>();

  /** Starts to reap. SIGCHLD must be blocked. */
  constructor(loop: EventLoop) {
    void this.#run(new Pollable(loop, openChildSignals()));
  }

  /** Settles when the child has ended. Must be asked for in the same turn in which it was made. */
  ending(pid: number): Promise<Ending> {
    return new Promise((resolve) => this.#waiting.set(pid, resolve));
  }

  async #run(signals: Pollable): Promise<never> {
    const drain = new Uint8Array(16 * abi.SIZEOF_signalfd_siginfo);
    for (;;) {
      await signals.readable();
      // One signal may stand for many children: its content says nothing that is needed.
      tryRead(signals.fd, drain);
      for (let child = reapChild(); child !== undefined; child = reapChild()) {
        const resolve = this.#waiting.get(child.pid);
        this.#waiting.delete(child.pid);
        resolve?.(child.ending);
      }
    }
  }
}
