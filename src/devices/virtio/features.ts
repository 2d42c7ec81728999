// Feature bits as sets. The ABI names are bit indexes (VIRTIO_F_VERSION_1 = 32); a set of them is a bigint.

/** The set with these bits. */
export function featureSet(...bits: readonly number[]): bigint {
  return bits.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
}

/** Whether the bit is in the set. */
export function hasFeature(set: bigint, bit: number): boolean {
  return ((set >> BigInt(bit)) & 1n) === 1n;
}
