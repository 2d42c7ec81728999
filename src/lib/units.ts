// Sizes in the units of the field, and what is counted in them.
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
/** Size of a page of x86-64 memory, bytes. */
export const PAGE_SIZE = 4096;
/** The longest time that Node's timers take, about 25 days: they take a longer one for none at all. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/** The smallest multiple of `step` that is at least `value`. */
export function alignUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
