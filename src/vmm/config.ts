// What a VM is made of, as the user says it: checked before anything is opened.
import { MEMORY_SIZE_MAX, MEMORY_SIZE_MIN } from '../arch/x86_64/layout.ts';
import { TskataError } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';

export interface DiskConfig {
  /** A raw image or a block device. */
  readonly path: string;
  readonly readOnly: boolean;
  /** What the guest's GET_ID answers: at most 20 bytes. */
  readonly id: string;
}

export interface ShareConfig {
  /** Name by which the guest mounts it (`mount -t virtiofs TAG`): 1 to 36 bytes of UTF-8. */
  readonly tag: string;
  /** Folder of the host that is served. */
  readonly directory: string;
}

export interface VsockConfig {
  /** Address of the guest: 3 to 2^32 - 2. */
  readonly guestCid: number;
  /** Unix socket of the host side; guest-initiated connections to port P go to `<path>_<P>`. */
  readonly path: string;
}

export interface VmConfig {
  /** ELF vmlinux or bzImage. */
  readonly kernelPath: string;
  readonly initrdPath?: string;
  /** The kernel's command line; the VMM adds the devices. */
  readonly commandLine: string;
  readonly memoryMib: number;
  readonly cpus: number;
  /** A 16550A at COM1. Every byte on it costs exits, so a VM that does not need it has none. */
  readonly serial: boolean;
  readonly disks: readonly DiskConfig[];
  readonly shares: readonly ShareConfig[];
  readonly vsock?: VsockConfig;
  /** A virtio entropy device, fed by the host's generator. */
  readonly entropy: boolean;
}

export const MAXIMUM_CPUS = 32;
/** Any context identifier that is not reserved (virtio 1.3, 5.10.4: 0, 1, 2 and 2^32 - 1 are). */
const MINIMUM_GUEST_CID = 3;
const MAXIMUM_GUEST_CID = 0xffff_fffe;
/** virtio 1.3, 5.11.4: `tag` is 36 bytes. */
const MAXIMUM_TAG_BYTES = 36;
/** virtio 1.3, 5.2.6: VIRTIO_BLK_T_GET_ID answers 20 bytes. */
const MAXIMUM_DISK_ID_BYTES = 20;

/** The configuration asks for a VM that cannot be. */
export class VmConfigError extends TskataError<'INVALID_CONFIG'> {
  constructor(key: string, found: string, allowed: string) {
    super('INVALID_CONFIG', `${key} is ${found}; allowed is ${allowed}`, { key, found, allowed });
  }
}

function checkInteger(key: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new VmConfigError(key, String(value), `a whole number from ${minimum} to ${maximum}`);
  }
}

/** Checks what can be checked without opening anything. @throws VmConfigError naming key, value and what is allowed */
export function checkVmConfig(config: VmConfig): void {
  checkInteger('memory (MiB)', config.memoryMib, MEMORY_SIZE_MIN / MIB, MEMORY_SIZE_MAX / MIB);
  checkInteger('cpus', config.cpus, 1, MAXIMUM_CPUS);
  if (config.vsock !== undefined)
    checkInteger('vsock cid', config.vsock.guestCid, MINIMUM_GUEST_CID, MAXIMUM_GUEST_CID);
  const tags = new Set<string>();
  for (const { tag } of config.shares) {
    const length = Buffer.byteLength(tag);
    if (length < 1 || length > MAXIMUM_TAG_BYTES || tag.includes('\0')) {
      throw new VmConfigError('share tag', JSON.stringify(tag), `1 to ${MAXIMUM_TAG_BYTES} bytes without NUL`);
    }
    if (tags.has(tag)) throw new VmConfigError('share tag', JSON.stringify(tag), 'a tag that no other share has');
    tags.add(tag);
  }
  for (const { id } of config.disks) {
    if (Buffer.byteLength(id) > MAXIMUM_DISK_ID_BYTES) {
      throw new VmConfigError('disk id', JSON.stringify(id), `at most ${MAXIMUM_DISK_ID_BYTES} bytes`);
    }
  }
}

const SIZE_UNITS_MIB: Readonly<Record<string, number>> = { M: 1, G: 1024, T: 1024 * 1024 };

/** Reads a memory size as `128M`, `2G` or a plain count of MiB. @throws VmConfigError */
export function parseMemoryMib(text: string): number {
  const match = /^(\d+)([MGT]?)(?:iB|B)?$/i.exec(text);
  const mib = Number(match?.[1]) * (SIZE_UNITS_MIB[(match?.[2] ?? '').toUpperCase() || 'M'] ?? Number.NaN);
  if (!Number.isSafeInteger(mib)) throw new VmConfigError('memory', JSON.stringify(text), 'a size such as 128M or 2G');
  return mib;
}
