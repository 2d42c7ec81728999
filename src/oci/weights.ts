// The weights of cgroup v1, which config.json has (OCI runtime-spec 1.2, config-linux.md), as cgroup v2 has them.

/** v2's cpu.weight and io.weight: least and most (Documentation/admin-guide/cgroup-v2.rst, "Weights"). */
const WEIGHT = { min: 1, max: 10_000 };
/** v1's shares: least and most (config-linux, "CPU", and the kernel's MIN_SHARES and MAX_SHARES). */
const SHARES = { min: 2, max: 262_144 };
/** config-linux, "Block IO": 10 to 1000. */
export const BLOCK_WEIGHT = { min: 10, max: 1000 };

/**
 * Maps v1's shares (default 1024) onto v2's weight (default 100) as runc does since 1.3.2: by a curve through least, default
 * and most. runc had a straight line before, by which the default became 39.
 */
export function weightOfShares(shares: number): number {
  if (shares <= SHARES.min) return WEIGHT.min;
  if (shares >= SHARES.max) return WEIGHT.max;
  const exponent = Math.log2(shares);
  return Math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34));
}

/** io.weight for v1's blkio.weight (within BLOCK_WEIGHT), on a straight line as runc has it. */
export function ioWeightOfBlockWeight(weight: number): number {
  const steps = (weight - BLOCK_WEIGHT.min) * (WEIGHT.max - WEIGHT.min);
  return WEIGHT.min + Math.floor(steps / (BLOCK_WEIGHT.max - BLOCK_WEIGHT.min));
}
