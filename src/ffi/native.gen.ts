// Printed by native/abi/native.c; do not edit. `node native/abi/generate.ts` writes it again.
export const TSKATA_VCPU_RUNNING = 0;
export const TSKATA_EXIT_SLOTS = 64;
/** Byte offsets in struct tskata_vcpu. */
export const tskata_vcpu = {
  sizeof: 584,
  state: 0,
  run_errno: 4,
  exits: 8,
} as const;
