// A VM that has been built: it runs, rests, and ends for one reason, which is named.

import { type BalloonDevice, NoStatisticsError } from '../devices/virtio/balloon/device.ts';
import type { BalloonStatistics } from '../devices/virtio/balloon/request.ts';
import { describeExit, describeRegisters } from '../hypervisor/describe.ts';
import type { Vcpu, VmExit } from '../hypervisor/ports.ts';
import { askAgent } from './ask-agent.ts';
import type { VmConfig } from './config.ts';
import type { Machine } from './machine.ts';
import { collectMetrics, type VmMetrics } from './metrics.ts';
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
} from './operations.ts';
import { resizeVm } from './resize.ts';
import { SnapshotWriter } from './snapshot-writer.ts';
import { describeStop, type StopReason, type VcpuFailure } from './stop-reason.ts';
import { summarizeVm } from './summary.ts';
import type { Timeline } from './timeline.ts';
import { VcpuGroup, type VcpuGroupState } from './vcpu-group.ts';

/** How long a guest may take to tell its statistics, milliseconds. */
const STATISTICS_TIMEOUT_MS = 1000;

export interface VmParts extends Machine {
  readonly config: VmConfig;
  readonly vcpus: readonly Vcpu[];
  /** Whether its devices are at rest, from a snapshot. */
  readonly isRestored?: boolean;
  /** Everything to be released at the end, in reverse order of its making. */
  readonly resources: AsyncDisposableStack;
}

export type VmState = VcpuGroupState | 'ended';

/** A VM. Disposing it ends it and releases all that it had. */
export class Vm implements AsyncDisposable {
  readonly #parts: VmParts;
  readonly #vcpus: VcpuGroup;
  readonly #snapshots: SnapshotWriter;

  constructor(parts: VmParts) {
    this.#parts = parts;
    this.#snapshots = new SnapshotWriter(parts);
    const { vcpus, latch, hold } = parts;
    this.#vcpus = new VcpuGroup({ vcpus, latch, hold, handleExit: (vcpu, exit) => this.#handleExit(vcpu, exit) });
    void latch.stopped.then((reason) => {
      void this.#snapshots.giveUp();
      parts.events.emit({ kind: 'stopped', reason: reason.kind, message: describeStop(reason) });
    });
  }

  /** Settles once, with the reason for which the VM ended. */
  get stopped(): Promise<StopReason> {
    return this.#parts.latch.stopped;
  }

  get state(): VmState {
    return this.#parts.latch.hasStopped ? 'ended' : this.#vcpus.state;
  }

  get timeline(): Timeline {
    return this.#parts.timeline;
  }

  /** Exits to this process so far, of all vCPUs, by KVM_EXIT_* name. */
  get exitCounts(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const vcpu of this.#parts.vcpus) {
      for (const [reason, count] of vcpu.exitCounts) sums.set(reason, (sums.get(reason) ?? 0) + count);
    }
    return sums;
  }

  /** Lets the vCPUs run. Call once. @throws VmStateError */
  start(): void {
    const { timeline, isRestored = false, devices, events } = this.#parts;
    timeline.mark('kernel-entry', process.hrtime.bigint());
    if (isRestored) devices.resume();
    this.#vcpus.start();
    events.emit({ kind: 'started' });
  }

  /** Stops the guest between two instructions; its devices stay. @throws VmStateError (rejects) */
  async pause(): Promise<void> {
    this.#snapshots.requireNone('pause');
    await this.#rest();
  }

  /** Lets a paused guest go on, and one that was not started yet start. @throws VmStateError */
  resume(): void {
    this.#snapshots.requireNone('resume');
    if (this.state === 'created') this.start();
    else this.#goOn();
  }

  /**
   * Writes a snapshot of the VM to a folder that is not there yet. The guest stands still meanwhile, and afterwards goes on,
   * or rests if it rested before or is to stay so. Until then nothing else can pause it or let it go on.
   * @throws VmStateError, SnapshotError, and what keeps a device from resting (rejects); the VM is then as it was before
   */
  async snapshot(directory: string, { resume }: { readonly resume: boolean } = { resume: true }): Promise<void> {
    using _busy = this.#snapshots.begin();
    const { latch, events } = this.#parts;
    const wasPaused = this.state === 'paused';
    if (!wasPaused) await this.#rest();
    let isWritten = false;
    try {
      await this.#snapshots.write(directory);
      isWritten = true;
      events.emit({ kind: 'snapshot-taken', directory });
    } finally {
      if (!wasPaused && (resume || !isWritten) && !latch.hasStopped) this.#goOn();
    }
  }

  async #rest(): Promise<void> {
    await this.#vcpus.pause();
    this.#parts.events.emit({ kind: 'paused' });
  }

  #goOn(): void {
    this.#vcpus.resume();
    this.#parts.events.emit({ kind: 'resumed' });
  }

  /** What the VM is made of. */
  get summary(): VmSummary {
    const { config, virtio, isRestored = false } = this.#parts;
    const { kernelPath: _kernel, initrdPath: _initrd, ...others } = config;
    return summarizeVm(isRestored ? others : config, virtio.all);
  }

  metrics(): VmMetrics {
    const { virtio, devices, timeline } = this.#parts;
    const startedNs = timeline.marks.find(({ name }) => name === 'kernel-entry')?.monotonicNs;
    return collectMetrics({
      exitCounts: this.exitCounts,
      devices: virtio.all,
      transports: devices.counts(),
      startedNs,
    });
  }

  /** Calls the listener with what happens from now on, until the result is disposed. */
  watch(listener: VmEventListener): Disposable {
    return this.#parts.events.watch(listener);
  }

  /**
   * Connects a reader to a console, beside those that are there: each gets all output from now on.
   * @throws VmOperationError NO_SUCH_PART
   */
  attachConsole(name: ConsoleName, reader: ConsoleReader): ConsoleAttachment {
    const hub = this.#parts.consoles.get(name);
    if (hub === undefined) throw new VmOperationError('NO_SUCH_PART', `the VM has no console ${name}`, { name });
    return hub.attach(reader);
  }

  /** Tells the driver of hvc0 the size of its terminal, in characters. @throws VmOperationError NO_SUCH_PART */
  resizeConsole(columns: number, rows: number): void {
    const { console } = this.#parts.virtio;
    if (console === undefined) throw new VmOperationError('NO_SUCH_PART', 'the VM has no virtio console');
    console.resize(columns, rows);
  }

  /** What the balloon is to hold, MiB. @throws VmOperationError NO_SUCH_PART, INVALID_VALUE */
  setBalloonTarget(mib: number): void {
    try {
      this.#balloon.setTarget(mib);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new VmOperationError('INVALID_VALUE', error.message, { mib }, { cause: error });
    }
  }

  /** Asks the driver for new statistics where it has them. @throws VmOperationError NO_SUCH_PART (rejects) */
  async balloonStats(): Promise<BalloonStats> {
    const balloon = this.#balloon;
    const statistics = await this.#statisticsOf(balloon);
    return { targetMib: balloon.targetMib, actualMib: balloon.actualMib, statistics };
  }

  /** What the driver tells, or what it told last when it does not answer now: its vCPUs may rest, or be busy. */
  async #statisticsOf(balloon: BalloonDevice): Promise<BalloonStatistics> {
    const known = balloon.statistics ?? {};
    if (this.state !== 'running') return known;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<BalloonStatistics>((resolve) => {
      timer = setTimeout(() => resolve(known), STATISTICS_TIMEOUT_MS);
    });
    const answer = balloon.requestStatistics().catch((error: unknown) => {
      if (error instanceof NoStatisticsError) return known;
      throw error;
    });
    try {
      return await Promise.race([answer, patience]);
    } finally {
      clearTimeout(timer);
    }
  }

  get #balloon(): BalloonDevice {
    const { balloon } = this.#parts.virtio;
    if (balloon === undefined) throw new VmOperationError('NO_SUCH_PART', 'the VM has no balloon');
    return balloon;
  }

  /**
   * Gives the guest more memory or processors, or takes some of what it got since its start, and waits until it has followed,
   * or for some seconds. A guest may keep memory that it uses; what it is to have it still is, and it follows when it can.
   * @returns what it has then
   * @throws VmStateError WRONG_STATE when it does not run; VmOperationError NO_SUCH_PART, INVALID_VALUE, and GUEST_NOT_READY
   * when its agent, which takes processors into use, does not answer (rejects)
   */
  async resize(wanted: VmResize): Promise<VmSize> {
    this.#vcpus.requireRunning('resize');
    this.#snapshots.requireNone('resize');
    const { config, virtio, latch } = this.#parts;
    return await resizeVm({ config, memory: virtio.memory, stopped: latch.stopped }, wanted);
  }

  /** Plugs a network device's cable in or out. @throws VmOperationError NO_SUCH_PART, UNKNOWN_DEVICE */
  setLink(name: string, isUp: boolean): void {
    const { nets } = this.#parts.virtio;
    if (nets.length === 0) throw new VmOperationError('NO_SUCH_PART', 'the VM has no network device');
    const device = nets.find((one) => one.name === name);
    if (device === undefined) {
      const names = nets.map((one) => one.name).join(', ');
      throw new VmOperationError('UNKNOWN_DEVICE', `the VM has no network device ${name}; it has ${names}`, { name });
    }
    device.setLink(isUp);
  }

  /**
   * Asks the guest to end, and does not wait for it; `kill` ends the VM at once.
   * @throws VmStateError WRONG_STATE when it does not run; VmOperationError NO_SUCH_PART, GUEST_NOT_READY when nobody would
   * hear it (rejects)
   */
  async shutdown(method: ShutdownMethod): Promise<void> {
    if (method === 'kill') {
      this.kill();
      return;
    }
    const { legacy, config } = this.#parts;
    this.#vcpus.requireRunning('ask the guest to end');
    switch (method) {
      case 'acpi':
        legacy.pressPowerButton();
        return;
      case 'ctrl-alt-del':
        if (legacy.pressCtrlAltDel()) return;
        throw new VmOperationError(
          'GUEST_NOT_READY',
          'the guest has no driver for the keyboard controller: Ctrl-Alt-Del would not be heard',
        );
      case 'agent':
        await askAgent(config.vsock?.path, (agent) => agent.call('Shutdown', {}));
    }
  }

  /** Ends the VM at once, whatever the guest is doing. */
  kill(): void {
    this.#parts.latch.stop({ kind: 'killed' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#snapshots.giveUp();
    await this.#parts.resources.disposeAsync();
  }

  #handleExit(vcpu: Vcpu, exit: VmExit): void {
    const { pioBus, mmioBus, latch } = this.#parts;
    switch (exit.kind) {
      case 'pio-read':
        pioBus.read(exit.port, exit.data, exit.size);
        break;
      case 'pio-write':
        pioBus.write(exit.port, exit.data, exit.size);
        break;
      case 'mmio-read':
        mmioBus.read(exit.address, exit.data);
        break;
      case 'mmio-write':
        mmioBus.write(exit.address, exit.data);
        break;
      case 'interrupted':
        break;
      case 'shutdown':
        latch.stop({ kind: 'triple-fault', ...vcpuFailure(vcpu, exit) });
        break;
      case 'fail-entry':
        latch.stop({ kind: 'entry-failure', ...vcpuFailure(vcpu, exit) });
        break;
      case 'internal-error':
        latch.stop({ kind: 'internal-error', ...vcpuFailure(vcpu, exit) });
        break;
      case 'hlt':
      case 'system-event':
      case 'unsupported':
        latch.stop({ kind: 'unhandled-exit', ...vcpuFailure(vcpu, exit) });
        break;
    }
  }
}

function vcpuFailure(vcpu: Vcpu, exit: VmExit): VcpuFailure {
  const registers = vcpu.getRegisters();
  return {
    vcpu: vcpu.index,
    instructionPointer: registers.rip,
    exit: describeExit(exit),
    registers: describeRegisters(registers, vcpu.getSpecialRegisters()),
  };
}
