// Time as the device models need it.

/** A clock that can be asked to call back. */
export interface Timers {
  /** Calls back once after `delayMs`, unless disposed before. */
  after(delayMs: number, callback: () => void): Disposable;
}
