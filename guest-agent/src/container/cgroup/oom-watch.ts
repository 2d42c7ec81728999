// Tells when processes of a cgroup are killed for want of memory.
import type { EventLoop } from '../../event-loop.ts';
import * as abi from '../../linux/abi.gen.ts';
import { isErrno } from '../../linux/call.ts';
import { parseFlatKeyed } from './text.ts';
import { ControlWatch } from './watch.ts';

export class OomWatch {
  readonly #watch: ControlWatch | undefined;
  readonly #onKills: (kills: bigint) => void;
  #kills = 0n;

  /** @param onKills gets how many there were since the cgroup was made */
  constructor(loop: EventLoop, cgroupPath: string, onKills: (kills: bigint) => void) {
    this.#onKills = onKills;
    try {
      this.#watch = new ControlWatch(loop, `${cgroupPath}/memory.events`, (text) => this.#take(text));
      // What is there has to be read once, or it counts as a change.
      this.check();
    } catch (error) {
      // Without the memory controller nothing is killed for the cgroup's want of memory.
      if (!isErrno(error, abi.ENOENT)) throw error;
    }
  }

  /** How many there were since the cgroup was made, as far as has been told. */
  get kills(): bigint {
    return this.#kills;
  }

  /** Tells at once of what the kernel will report: it gathers changes for some milliseconds. */
  check(): void {
    this.#take(this.#watch?.read());
  }

  close(): void {
    this.#watch?.close();
  }

  #take(text: string | undefined): void {
    const kills = parseFlatKeyed(text ?? '').get('oom_kill') ?? 0n;
    if (kills <= this.#kills) return;
    this.#kills = kills;
    this.#onKills(kills);
  }
}
