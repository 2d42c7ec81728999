// A clock that stands still until a test moves it.
import type { Clock } from '../rate-limiter.ts';
import { FakeTimers } from './fake-vsock-host.ts';

export class FakeClock extends FakeTimers implements Clock {
  #nowMs = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  override advance(byMs: number): void {
    this.#nowMs += byMs;
    super.advance(byMs);
  }
}
