// Reads /proc/PID/smaps (proc(5)).

export interface ProcessMemory {
  /** Each page divided by the number of its mappings. */
  readonly pssKib: number;
  /** Of it what no file holds, so that the kernel can neither drop it nor share it with the next such process. */
  readonly anonymousKib: number;
}

/** `start-end perms offset device inode name` */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)$/;

/**
 * Sums a process's memory without its guest's: mappings of exactly the guest's size, and those of files named for guest RAM.
 * @param smaps the file's text
 */
export function memoryBesideGuest(smaps: string, guestMemoryMib: number): ProcessMemory {
  let [pssKib, anonymousKib] = [0, 0];
  let counts = true;
  for (const line of smaps.split('\n')) {
    const mapping = MAPPING.exec(line);
    if (mapping !== null) {
      const [, from = '', to = '', name = ''] = mapping;
      const size = Number.parseInt(to, 16) - Number.parseInt(from, 16);
      counts = size !== guestMemoryMib * 1024 * 1024 && !/guest-ram|memory-backend/.test(name);
      continue;
    }
    const [key, value] = line.split(/:\s+/);
    if (!counts || value === undefined) continue;
    if (key === 'Pss') pssKib += Number.parseInt(value, 10);
    if (key === 'Anonymous') anonymousKib += Number.parseInt(value, 10);
  }
  return { pssKib, anonymousKib };
}
