// Sizes in the units of the field.
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
/** Size of a page of x86-64 memory, bytes. */
export const PAGE_SIZE = 4096;

/** The smallest multiple of `step` that is at least `value`. */
export function alignUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
