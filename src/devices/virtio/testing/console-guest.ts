// A guest's console driver in a few lines, on the mock driver, and a terminal that takes output when a test says so.
import { MIB } from '../../../lib/units.ts';
import type { ConsoleSize } from '../console/config-space.ts';
import { CONSOLE_QUEUE, ConsoleDevice } from '../console/device.ts';
import { FakeTimers } from './fake-vsock-host.ts';
import { concatenate, MockMachine } from './mock-driver.ts';

export class FakeTerminal {
  readonly pieces: Uint8Array[] = [];
  /** Whether the guest is asked to wait after each piece. */
  isSlow = false;
  #waiters: (() => void)[] = [];

  /** All that came. */
  get text(): string {
    return new TextDecoder().decode(concatenate(this.pieces));
  }

  output(bytes: Uint8Array): Promise<void> | undefined {
    this.pieces.push(bytes);
    return this.isSlow ? new Promise((resolve) => void this.#waiters.push(resolve)) : undefined;
  }

  /** Takes what it was given: the guest need not wait any more. */
  async take(): Promise<void> {
    for (const resolve of this.#waiters.splice(0)) resolve();
    await Promise.resolve();
  }
}

export interface ConsoleGuestOptions {
  readonly size?: ConsoleSize;
  /** @default true */
  readonly isStarted?: boolean;
  /** Features that the driver does not take. */
  readonly refuse?: readonly number[];
}

export class ConsoleGuest {
  readonly timers: FakeTimers = new FakeTimers();
  host: FakeTerminal = new FakeTerminal();
  device: ConsoleDevice;
  machine: MockMachine;

  constructor({ size, isStarted = true, refuse = [] }: ConsoleGuestOptions = {}) {
    this.device = this.#makeDevice(size);
    this.machine = new MockMachine(this.device, { memorySize: 2 * MIB });
    if (isStarted) this.machine.driver.start({ refuse });
  }

  /** Goes on with another device on another terminal, as after a restore; it is still at rest. */
  async move(size?: ConsoleSize): Promise<void> {
    this.host = new FakeTerminal();
    this.device = this.#makeDevice(size);
    this.machine = await this.machine.moveTo(this.device);
  }

  /** Writes one buffer of these parts. */
  write(...parts: readonly string[]): void {
    const queue = this.machine.driver.queue(CONSOLE_QUEUE.transmit);
    queue.push(...parts.map((part) => ({ read: new TextEncoder().encode(part) })));
    queue.kick();
  }

  /** Offers one buffer for input, of parts of these lengths. */
  offer(...lengths: readonly number[]): void {
    const queue = this.machine.driver.queue(CONSOLE_QUEUE.receive);
    queue.push(...lengths.map((write) => ({ write })));
    queue.kick();
  }

  /** Input that came, a text for each buffer. */
  read(): string[] {
    return this.machine.driver
      .queue(CONSOLE_QUEUE.receive)
      .takeUsed()
      .map(({ bytes }) => new TextDecoder().decode(bytes));
  }

  #makeDevice(size: ConsoleSize | undefined): ConsoleDevice {
    const { host, timers } = this;
    const output = (bytes: Uint8Array) => host.output(bytes);
    return new ConsoleDevice({ output, timers, ...(size === undefined ? {} : { size }) });
  }
}
