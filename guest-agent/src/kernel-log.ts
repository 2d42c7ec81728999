// Records of the kernel's log.

/**
 * Whether a record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg) says that a process was killed for want of memory of the
 * whole guest. Records of the kernel itself begin with a number below 8, which no process can write; what a process may choose,
 * such as its name, comes later in the line.
 */
export function tellsOfGuestOom(record: string): boolean {
  return /^[0-7],[^;]*;oom-kill:constraint=(?!CONSTRAINT_MEMCG,)[A-Z_]+,/.test(record);
}
