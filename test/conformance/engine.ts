// What the suite asks of whoever runs containers.
import type { ContainerConfig } from './config.ts';
import type { Place } from './place.ts';

/**
 * The worlds whose differences cases may name: `guest` is the agent anywhere, `machine` the agent as a process of this machine,
 * `vm` in a virtual machine, `tskata` by the command.
 */
export type World = 'runc' | 'crun' | 'guest' | 'machine' | 'vm' | 'tskata';

/** How a process ended: status as shells count (128 + n for signal n). A creation that was refused is status 1 and the reason. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A container whose program runs. */
export interface Running {
  /** Pid of its program, for paths in /proc where the engine works. */
  readonly pid: number;
  /** Runs another process in it. @param process an OCI process object */
  exec(process: object): Promise<Ended>;
  kill(signal: number): Promise<void>;
  readonly ended: Promise<Ended>;
  remove(): Promise<void>;
}

export interface Engine extends AsyncDisposable {
  readonly name: string;
  readonly worlds: readonly World[];
  /** cgroup v2 controllers that its containers can have. */
  readonly controllers: readonly string[];
  /** How often what depends on a race is tried: with one emulated processor each try is dear, and few can be lost. */
  readonly tries: number;
  place(): Place;
  /** Runs a container from creation to deletion. */
  run(place: Place, config: ContainerConfig, input?: string): Promise<Ended>;
  /** Starts a container. @throws Error when it cannot be started */
  start(place: Place, config: ContainerConfig): Promise<Running>;
}
