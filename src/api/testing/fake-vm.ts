// A VM that only keeps what was asked of it, for tests of the API's two ends.
import { ConsoleHub } from '../../vmm/console-hub.ts';
import type { VmMetrics } from '../../vmm/metrics.ts';
import {
  type BalloonStats,
  type ConsoleAttachment,
  type ConsoleName,
  type ConsoleReader,
  type ShutdownMethod,
  type VmEventListener,
  VmOperationError,
  type VmResize,
  type VmSize,
  type VmSummary,
} from '../../vmm/operations.ts';
import { describeStop, StopLatch, type StopReason } from '../../vmm/stop-reason.ts';
import { VmStateError } from '../../vmm/vcpu-group.ts';
import type { VmState } from '../../vmm/vm.ts';
import { VmEvents } from '../../vmm/vm-events.ts';
import type { SnapshotOptions, VmControl } from '../control.ts';

export const SUMMARY: VmSummary = {
  kernelPath: '/boot/vmlinux',
  commandLine: 'quiet',
  memoryMib: 128,
  maxMemoryMib: 512,
  cpus: 2,
  maxCpus: 4,
  guestCid: 3,
  devices: [
    { name: 'root.raw', type: 'block' },
    { name: 'net0', type: 'net' },
  ],
  consoles: ['serial', 'hvc0'],
};

const METRICS: VmMetrics = {
  uptimeMs: 1500,
  exits: { KVM_EXIT_IO: 7 },
  devices: [{ name: 'root.raw', type: 'block', counters: { read_bytes: 512 } }],
  memory: { residentBytes: 5, peakResidentBytes: 6, anonymousBytes: 1, fileBytes: 2, sharedBytes: 2 },
};

export class FakeVm implements VmControl {
  readonly latch = new StopLatch();
  readonly events = new VmEvents();
  /** What was asked, in words. */
  readonly asked: string[] = [];
  /** How many have asked to watch. */
  watchers = 0;
  /** What was typed, all consoles together. */
  typed = '';
  /** Set while the guest does not read what is typed. */
  room: Promise<void> | undefined;
  balloon: BalloonStats = { targetMib: 64, actualMib: 32, statistics: { free_memory_bytes: 4096 } };
  readonly consoles: Readonly<Record<ConsoleName, ConsoleHub>>;
  readonly summary: VmSummary;
  #state: VmState = 'running';

  constructor(summary: Partial<VmSummary> = {}) {
    this.summary = { ...SUMMARY, ...summary };
    const input = (bytes: Uint8Array): Promise<void> | undefined => {
      this.typed += Buffer.from(bytes).toString();
      return this.room;
    };
    this.consoles = { serial: new ConsoleHub(input), hvc0: new ConsoleHub(input) };
  }

  get state(): VmState {
    return this.latch.hasStopped ? 'ended' : this.#state;
  }

  get stopped(): Promise<StopReason> {
    return this.latch.stopped;
  }

  async pause(): Promise<void> {
    this.#need('running');
    this.#state = 'paused';
    this.events.emit({ kind: 'paused' });
  }

  resume(): void {
    this.#need('paused');
    this.#state = 'running';
    this.events.emit({ kind: 'resumed' });
  }

  async shutdown(method: ShutdownMethod): Promise<void> {
    if (method !== 'kill') this.#need('running');
    this.asked.push(`shutdown ${method}`);
    if (method === 'kill') this.kill();
  }

  kill(): void {
    this.end({ kind: 'killed' });
  }

  /** The guest ends. */
  end(reason: StopReason): void {
    if (this.latch.hasStopped) return;
    this.latch.stop(reason);
    this.events.emit({ kind: 'stopped', reason: reason.kind, message: describeStop(reason) });
  }

  async snapshot(directory: string, { resume }: SnapshotOptions): Promise<void> {
    if (directory === '/full') throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    if (directory === '/odd') throw new Error('an odd failure');
    this.asked.push(`snapshot ${directory}${resume ? ' and resume' : ''}`);
    this.events.emit({ kind: 'snapshot-taken', directory });
  }

  metrics(): VmMetrics {
    return METRICS;
  }

  watch(listener: VmEventListener): Disposable {
    this.watchers += 1;
    return this.events.watch(listener);
  }

  setBalloonTarget(mib: number): void {
    if (mib > this.summary.memoryMib) throw new VmOperationError('INVALID_VALUE', `the balloon cannot be ${mib} MiB`);
    this.asked.push(`balloon ${mib}`);
  }

  async balloonStats(): Promise<BalloonStats> {
    return this.balloon;
  }

  async resize({ memoryMib = this.summary.memoryMib, cpus }: VmResize): Promise<VmSize> {
    if (memoryMib > this.summary.maxMemoryMib) {
      throw new VmOperationError('INVALID_VALUE', `memory (MiB) is ${memoryMib}`);
    }
    this.asked.push(`resize to ${memoryMib} MiB and ${cpus ?? 'as many'} cpus`);
    return { memoryMib, ...(cpus === undefined ? {} : { cpus }) };
  }

  setLink(device: string, up: boolean): void {
    if (device === 'none') throw new VmOperationError('NO_SUCH_PART', 'this VM was built without a network');
    if (device !== 'net0') throw new VmOperationError('UNKNOWN_DEVICE', `there is no network device ${device}`);
    this.asked.push(`link ${device} ${up ? 'up' : 'down'}`);
  }

  resizeConsole(columns: number, rows: number): void {
    this.asked.push(`resize ${columns}x${rows}`);
  }

  attachConsole(console: ConsoleName, reader: ConsoleReader): ConsoleAttachment {
    return this.consoles[console].attach(reader);
  }

  #need(state: VmState): void {
    if (this.state === state) return;
    throw new VmStateError(this.state === 'ended' ? 'ENDED' : 'WRONG_STATE', `the VM is ${this.state}, not ${state}`);
  }
}
