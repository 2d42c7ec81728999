// A device on a transport, in guarded memory, at the mercy of a program. After every turn of the device it judges what came of
// it: see `HostileViolation`.
import * as abi from '../../src/devices/virtio/abi.gen.ts';
import { MmioTransport } from '../../src/devices/virtio/mmio-transport.ts';
import type { QueueLayout } from '../../src/devices/virtio/queue.ts';
import { STATUS } from '../../src/devices/virtio/status.ts';
import {
  type BufferPart,
  MockDriver,
  type MockQueue,
  writeDescriptor,
} from '../../src/devices/virtio/testing/mock-driver.ts';
import type { Fd } from '../../src/lib/brand.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { KIB, PAGE_SIZE } from '../../src/lib/units.ts';
import { GuestMemoryError } from '../../src/memory/guest-memory.ts';
import { type AccessWatcher, setWatcher, unwatched } from './access-watch.ts';
import { GuardedMemory, HIGH_RAM, holdsGuard, LOW_RAM } from './guarded-memory.ts';
import { OfferedMemory, usedRingRange } from './offered.ts';
import { LAST_QUEUE, type Part, type Place, type Program, type RawEntry, type Step } from './step.ts';
import type { Subject, Tested } from './subject.ts';

/** A device did what it must never do, whatever its guest does. */
export class HostileViolation extends Error {}

/** Accesses to memory that a turn may make: every queue's worth of chains of full length, each field read, and some. */
const ACCESSES_PER_DESCRIPTOR = 8;
const ACCESSES_BESIDE = 4096;
/** Bytes that a turn may move for each entry of its queues: a large packet's worth. */
const BYTES_PER_ENTRY = 80 * KIB;
/** Turns after which nothing is left to do once the guest stands still. */
const TURNS_TO_REST = 600;
/** Turns without work that show it. A back end's answer takes several microtasks. */
const IDLE_TURNS = 24;

const IDENTITY = [abi.VIRTIO_MMIO_MAGIC_VALUE, abi.VIRTIO_MMIO_VERSION, abi.VIRTIO_MMIO_DEVICE_ID];

interface Race {
  reads: number;
  readonly place: Place;
  readonly value: number;
}

export class HostileMachine {
  readonly #subject: Subject;
  readonly #guarded = new GuardedMemory();
  readonly #driver: MockDriver;
  readonly #identity: readonly number[];
  #tested: Tested;
  #transport: MmioTransport;
  #deferred: (() => void)[] = [];
  #races: Race[] = [];
  #churn: { queue: number; every: number; isToAndFro: boolean; times: number } | undefined;
  /** By index: the queues of the driver at work, or of the last one until the next reset. */
  readonly #layouts = new Map<number, QueueLayout>();
  #offered: OfferedMemory;
  /** What former drivers offered, while the device says that it may still write there. */
  readonly #former = new Set<OfferedMemory>();
  readonly #watcher: AccessWatcher;
  #isInTurn = false;
  /** Whether the guest stands still. */
  #isSettling = false;
  /** Whether memory may be other than it was remembered. */
  #hasChanged = true;
  #hasRaced = false;
  #accesses = 0;
  #bytes = 0;
  #violation: string | undefined;
  /** How often the device had to be reset. */
  failures = 0;

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#watcher = {
      buffer: this.#guarded.bytes.buffer,
      reading: (length) => this.#access(length),
      wrote: (offset, length) => {
        this.#access(length);
        if (this.#offered.isStructure({ offset, length })) unwatched(() => this.#offer());
      },
    };
    this.#offered = new OfferedMemory(this.#guarded);
    this.#tested = this.#create();
    this.#transport = this.#makeTransport();
    this.#driver = new MockDriver(this.#transport, this.#guarded.memory);
    this.#identity = IDENTITY.map((register) => this.#driver.readRegister(register));
  }

  /**
   * Runs a program, then has a good driver use the device.
   * @throws HostileViolation (rejects) naming the step
   */
  async run(program: Program): Promise<void> {
    await this.runSteps(program);
    await this.finish();
  }

  /** The device's state as a driver sees it. */
  get status(): number {
    return this.#transport.status;
  }

  /** @throws HostileViolation (rejects) naming the step */
  async runSteps(program: Program): Promise<void> {
    for (const [index, step] of program.entries()) {
      await this.#perform(step);
      this.#judge(`step ${index} (${step.do})`);
    }
  }

  /** Comes to rest, then has a good driver use the device. @throws HostileViolation (rejects) */
  async finish(): Promise<void> {
    this.#races = [];
    this.#churn = undefined;
    this.#tested.release();
    await this.#settle();
    this.#judge('the rest after the program');
    await this.#recover();
    this.#transport[Symbol.dispose]();
    this.#tested.release();
    await this.#settle();
    this.#judge('the end');
  }

  /** The device takes a good driver again after a reset. */
  async #recover(): Promise<void> {
    this.#driver.reset();
    this.#tested.release();
    await this.#settle();
    this.#judge('the last reset');
    if (this.#driver.status !== STATUS.reset) throw new HostileViolation('a reset left the status as it was');
    if (this.#former.size > 0) throw new HostileViolation('the device never said that it let go of memory');
    this.#driver.start({ queueSize: 16 });
    const works = await this.#tested.use(this.#driver, () => this.#settle());
    this.#judge('the good driver');
    if (!works) throw new HostileViolation('after a reset the device does not work for a good driver');
  }

  #makeTransport(): MmioTransport {
    return new WatchedTransport(this, this.#tested.device, {
      memory: this.#guarded.memory,
      page: new Uint8Array(PAGE_SIZE),
      interrupt: { signal: () => {} },
      defer: (work) => void this.#deferred.push(work),
      eventFds: (queue) => ({ kick: (1000 + queue) as Fd, call: 2000 as Fd }),
      ringBell: (queue) => this.#transport.notify(queue),
      onFailure: () => void this.failures++,
    });
  }

  /** A device that tells where its queues are when it starts. */
  #create(): Tested {
    const tested = this.#subject.create();
    const { device } = tested;
    const activate = device.activate.bind(device);
    device.activate = (context) => {
      for (const [index, queue] of context.queues.entries()) if (queue !== undefined) this.#layouts.set(index, queue);
      unwatched(() => this.#offer());
      return activate(context);
    };
    return tested;
  }

  /** Something that makes the device run: everything that it does to memory meanwhile is seen. */
  turn<T>(work: () => T): T | undefined {
    // What the device itself calls belongs to its turn.
    if (this.#isInTurn) return work();
    this.#begin();
    try {
      return work();
    } catch (error) {
      this.#violation ??= `it threw: ${error instanceof Error ? error.stack : messageOf(error)}`;
      return undefined;
    } finally {
      this.#end();
    }
  }

  /** A round of what waits for promises. */
  async #pass(): Promise<void> {
    this.#begin();
    await Promise.resolve();
    this.#end();
  }

  #begin(): void {
    if (this.#hasChanged) {
      this.#offer();
      this.#guarded.remember();
      this.#hasChanged = !this.#isSettling;
    }
    this.#accesses = 0;
    this.#bytes = 0;
    this.#hasRaced = false;
    this.#isInTurn = true;
    setWatcher(this.#watcher);
  }

  #end(): void {
    setWatcher(undefined);
    this.#isInTurn = false;
    this.#checkWrites();
  }

  #access(length: number): void {
    this.#accesses += 1;
    this.#bytes += length;
    const entries = [...this.#layouts.values()].map(({ size }) => size);
    const bound = entries.reduce((sum, size) => sum + size * size * ACCESSES_PER_DESCRIPTOR, ACCESSES_BESIDE);
    const byteBound = entries.reduce((sum, size) => sum + size * BYTES_PER_ENTRY, BYTES_PER_ENTRY);
    if (this.#accesses > bound || this.#bytes > byteBound) {
      this.#violation ??= `one turn took ${this.#accesses} accesses to memory and ${this.#bytes} bytes`;
      throw new HostileViolation('enough');
    }
    if (this.#isSettling) return;
    this.#moveIndex();
    const [race] = this.#races;
    // One for a turn: then what the device sees is what memory held before or after it.
    if (race === undefined || this.#hasRaced) return;
    race.reads -= 1;
    if (race.reads >= 0) return;
    this.#races.shift();
    this.#hasRaced = true;
    unwatched(() => {
      this.#poke(race.place, race.value);
      this.#offer();
    });
  }

  /** Another processor at work on an index: that changes nothing of what is offered in the slots. */
  #moveIndex(): void {
    const churn = this.#churn;
    const layout = this.#layouts.get(churn?.queue ?? 0);
    if (churn === undefined || layout === undefined || this.#accesses % churn.every !== 0) return;
    churn.times += 1;
    const by = churn.isToAndFro && churn.times % 2 === 0 ? -1 : 1;
    unwatched(() => {
      const address = layout.availableRing + abi.vring_avail.idx;
      this.#pokeAt(address, (this.#guarded.memory.readU16(address) + by) & 0xffff);
    });
  }

  /** Takes in what the guest offers by now. */
  #offer(): void {
    for (const layout of this.#layouts.values()) this.#offered.add(layout);
  }

  #checkWrites(): void {
    const used = [...this.#layouts.values()].map((layout) => usedRingRange(this.#guarded, layout));
    for (const offset of this.#guarded.changes()) {
      this.#hasChanged = true;
      const isUsed = used.some(
        (range) => range !== undefined && offset >= range.offset && offset < range.offset + range.length,
      );
      if (isUsed || this.#offered.allows(offset) || [...this.#former].some((former) => former.allows(offset))) continue;
      this.#violation ??= `it wrote to ${this.#guarded.describe(offset)}, which nobody offered`;
      return;
    }
  }

  /** @throws HostileViolation */
  #judge(after: string): void {
    this.#violation ??= this.#inconsistency() ?? this.#tested.excess?.();
    if (this.#violation !== undefined)
      throw new HostileViolation(`${this.#subject.name}, after ${after}: ${this.#violation}`);
  }

  #inconsistency(): string | undefined {
    const { state, status } = this.#transport;
    const isRunning = (status & ~abi.VIRTIO_CONFIG_S_FAILED) === STATUS.running;
    if ((state.kind === 'failed') !== ((status & abi.VIRTIO_CONFIG_S_NEEDS_RESET) !== 0)) {
      if ((status & abi.VIRTIO_CONFIG_S_FAILED) === 0)
        return `it is ${state.kind} with status 0x${status.toString(16)}`;
    }
    if (state.kind === 'active' && !isRunning) return `it is active with status 0x${status.toString(16)}`;
    if (this.#driver.status !== status) return 'its page shows another status';
    for (const [index, register] of IDENTITY.entries()) {
      if (this.#driver.readRegister(register) !== this.#identity[index]) return `register ${register} changed`;
    }
    const interrupts = this.#driver.readRegister(abi.VIRTIO_MMIO_INTERRUPT_STATUS);
    if ((interrupts & ~(abi.VIRTIO_MMIO_INT_VRING | abi.VIRTIO_MMIO_INT_CONFIG)) !== 0)
      return 'it shows unknown interrupts';
    for (const bytes of this.#tested.received()) if (holdsGuard(bytes)) return 'it passed on what is outside RAM';
    return undefined;
  }

  /** The driver has reset the device. @param busy until when it may still write where former drivers wanted it to */
  wasReset(busy: Promise<void> | undefined): void {
    this.#layouts.clear();
    const former = this.#offered;
    this.#offered = new OfferedMemory(this.#guarded);
    if (busy === undefined) {
      this.#former.clear();
      return;
    }
    this.#former.add(former);
    busy.then(
      () => void this.#former.delete(former),
      () => {
        this.#violation ??= 'waiting for it to let go of memory failed';
      },
    );
  }

  async #perform(step: Step): Promise<void> {
    switch (step.do) {
      case 'start': {
        const refuse = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((step.refuse >>> bit) & 1) === 1);
        attempt(() => this.#driver.start({ queueSize: 2 ** step.sizeExponent, refuse }));
        return;
      }
      case 'negotiate':
        this.#driver.agreeOnFeatures(BigInt(step.features) | (1n << BigInt(abi.VIRTIO_F_VERSION_1)));
        return;
      case 'layout':
        this.#writeLayout(step);
        return;
      case 'status':
        this.#driver.writeStatus(step.value);
        return;
      case 'write':
        this.#transport.write(step.offset, Uint8Array.from(step.bytes));
        return;
      case 'read':
        this.turn(() => this.#transport.read(step.offset, step.length));
        return;
      case 'push':
        attempt(() => this.#queue(step.queue)?.push(...step.parts.map((part) => this.#part(part))));
        return;
      case 'descriptor':
        attempt(() => this.#queue(step.queue)?.writeDescriptor(step.index, this.#entry(step.entry)));
        return;
      case 'table':
        for (const [index, entry] of step.entries.entries()) {
          const at = Number(this.#resolve(step.place)) + 16 * index;
          attempt(() => writeDescriptor(this.#guarded.memory, at, this.#entry(entry)));
        }
        return;
      case 'offer':
        this.#offerHeads(step.queue, step.heads, step.advance);
        return;
      case 'poke':
        this.#poke(step.place, step.value);
        return;
      case 'race':
        this.#races.push({ reads: step.reads, place: step.place, value: step.value });
        return;
      case 'churn':
        this.#churn = { queue: this.#queueIndex(step.queue), every: step.every, isToAndFro: step.isToAndFro, times: 0 };
        return;
      case 'kick':
        this.turn(() => this.#transport.notify(this.#queueIndex(step.queue)));
        return;
      case 'storm':
        for (let time = 0; time < step.times; time++) {
          this.turn(() => this.#transport.notify(this.#queueIndex(step.queue)));
        }
        return;
      case 'take':
        attempt(() => this.#queue(step.queue)?.takeUsed());
        return;
      case 'turn':
        for (let done = 0; done < step.microtasks; done++) await this.#pass();
        this.#runDeferred();
        return;
      case 'host':
        this.turn(() => this.#tested.act(step.choice, step.size));
        return;
      case 'move':
        await this.#move();
    }
  }

  async #move(): Promise<void> {
    const before = this.#transport;
    let isAtRest = false;
    this.turn(() => before.quiesce())?.then(
      () => {
        isAtRest = true;
      },
      () => {
        this.#violation ??= 'it could not be brought to rest';
      },
    );
    this.#tested.release();
    await this.#settle();
    if (!isAtRest) this.#violation ??= 'it never came to rest';
    this.#judge('its way to rest');
    const snapshot = JSON.stringify(this.turn(() => before.saveState()));
    this.turn(() => before[Symbol.dispose]());
    this.#deferred = [];
    this.#layouts.clear();
    this.#tested = this.#create();
    this.#transport = this.#makeTransport();
    this.#driver.transport = this.#transport;
    this.turn(() => this.#transport.restoreState(JSON.parse(snapshot)));
    this.#judge('its restore');
    this.turn(() => this.#transport.resume());
  }

  #runDeferred(): number {
    const jobs = this.#deferred;
    this.#deferred = [];
    for (const job of jobs) this.turn(job);
    return jobs.length;
  }

  /** Lets the event loop go round until nothing is left to do. */
  async #settle(): Promise<void> {
    this.#isSettling = true;
    let idle = 0;
    for (let turns = 0; idle < IDLE_TURNS; turns++) {
      if (turns > TURNS_TO_REST) throw new HostileViolation(`${this.#subject.name} does not come to rest`);
      await this.#pass();
      idle = this.#accesses + this.#runDeferred() === 0 ? idle + 1 : 0;
    }
    this.#isSettling = false;
    this.#hasChanged = true;
  }

  /** Programs do not know how many queues a device has: all but the largest numbers mean one that is there. */
  #queueIndex(queue: number): number {
    return queue > LAST_QUEUE ? queue : queue % this.#tested.device.queueSizes.length;
  }

  #queue(queue: number): MockQueue | undefined {
    try {
      return this.#driver.queue(this.#queueIndex(queue));
    } catch {
      return undefined;
    }
  }

  #part(part: Part): BufferPart {
    const { openings } = this.#subject;
    switch (part.kind) {
      case 'opening': {
        const bytes = openings[part.index % Math.max(1, openings.length)]?.slice() ?? new Uint8Array(16);
        if (part.byte !== null && bytes.length > 0) bytes[part.at % bytes.length] = part.byte;
        return { read: bytes };
      }
      case 'bytes':
        return { read: new Uint8Array(part.length).fill(part.byte) };
      case 'room':
        return { write: part.length };
    }
  }

  #entry({ place, length, flags, next }: RawEntry) {
    return { address: this.#resolve(place), length, flags, next };
  }

  #resolve({ base, queue, offset }: Place): bigint {
    const ring = this.#layouts.get(this.#queueIndex(queue));
    switch (base) {
      case 'low-ram':
        return BigInt(LOW_RAM.start + offset);
      case 'high-ram':
        return BigInt(HIGH_RAM.start + offset);
      case 'end-of-low-ram':
        return BigInt(Math.max(0, LOW_RAM.start + LOW_RAM.size - offset));
      case 'hole':
        return BigInt(LOW_RAM.start + LOW_RAM.size + offset);
      case '4-gib':
        return 2n ** 32n + BigInt(offset);
      case 'top':
        return 2n ** 64n - 1n - BigInt(offset);
      case 'descriptors':
        return BigInt((ring?.descriptorTable ?? 0) + offset);
      case 'available':
        return BigInt((ring?.availableRing ?? 0) + offset);
      case 'used':
        return BigInt((ring?.usedRing ?? 0) + offset);
    }
  }

  #poke(place: Place, value: number): void {
    this.#pokeAt(Number(this.#resolve(place)) & ~1, value);
  }

  #pokeAt(address: number, value: number): void {
    if (!this.#guarded.memory.contains(address, 2)) return;
    this.#guarded.memory.writeU16(address, value);
    const range = this.#guarded.locate(address, 2);
    if (range !== undefined) this.#guarded.rememberRange(range);
  }

  #offerHeads(queue: number, heads: readonly number[], advance: number): void {
    const layout = this.#layouts.get(this.#queueIndex(queue));
    if (layout === undefined) return;
    const { memory } = this.#guarded;
    const { availableRing, size } = layout;
    const from = memory.readU16(availableRing + abi.vring_avail.idx);
    for (const [position, head] of heads.entries()) {
      memory.writeU16(availableRing + abi.vring_avail.ring + 2 * ((from + position) & (size - 1)), head);
    }
    memory.writeU16(availableRing + abi.vring_avail.idx, (from + advance) & 0xffff);
  }

  #writeLayout(step: Extract<Step, { do: 'layout' }>): void {
    const driver = this.#driver;
    driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_SEL, this.#queueIndex(step.queue));
    driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_NUM, step.size);
    const write = (low: number, high: number, place: Place): void => {
      // Where the parts have to be aligned they mostly are.
      const address = this.#resolve(place) & ~15n;
      driver.writeRegister(low, Number(address & 0xffff_ffffn));
      driver.writeRegister(high, Number(address >> 32n));
    };
    write(abi.VIRTIO_MMIO_QUEUE_DESC_LOW, abi.VIRTIO_MMIO_QUEUE_DESC_HIGH, step.descriptors);
    write(abi.VIRTIO_MMIO_QUEUE_AVAIL_LOW, abi.VIRTIO_MMIO_QUEUE_AVAIL_HIGH, step.available);
    write(abi.VIRTIO_MMIO_QUEUE_USED_LOW, abi.VIRTIO_MMIO_QUEUE_USED_HIGH, step.used);
    driver.writeRegister(abi.VIRTIO_MMIO_QUEUE_READY, 1);
  }
}

/** A transport whose writes are turns of its machine. */
class WatchedTransport extends MmioTransport {
  readonly #machine: HostileMachine;

  constructor(machine: HostileMachine, ...[device, options]: ConstructorParameters<typeof MmioTransport>) {
    super(device, options);
    this.#machine = machine;
  }

  override write(offset: number, bytes: Uint8Array): Promise<void> | undefined {
    const busy = this.#machine.turn(() => super.write(offset, bytes));
    const isReset = offset === abi.VIRTIO_MMIO_STATUS && bytes.length === 4 && bytes.every((byte) => byte === 0);
    if (isReset) this.#machine.wasReset(busy);
    return busy;
  }
}

/** What a guest cannot do in its own memory, it leaves. */
function attempt(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof GuestMemoryError)) throw error;
  }
}
