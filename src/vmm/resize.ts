// More or less of processors and memory for a VM that runs.
import type { MemoryDevice } from '../devices/virtio/mem/device.ts';
import { MIB } from '../lib/units.ts';
import { askAgent } from './ask-agent.ts';
import type { VmConfig } from './config.ts';
import { VmOperationError, type VmResize, type VmSize } from './operations.ts';

/** How long the guest gets to take or to give memory before its size is told as it then is, milliseconds. */
const PATIENCE_MS = 10_000;

/** What of a VM can be resized. */
export interface Resizable {
  readonly config: VmConfig;
  /** Absent in a VM whose memory cannot grow. */
  readonly memory: MemoryDevice | undefined;
  /** Settles when nothing is to be waited for any more. */
  readonly stopped: Promise<unknown>;
}

/** @throws VmOperationError INVALID_VALUE, NO_SUCH_PART */
export function checkResize({ config, memory }: Resizable, { memoryMib, cpus }: VmResize): void {
  const { maxMemoryMib = config.memoryMib, maxCpus = config.cpus } = config;
  checkBetween('memory (MiB)', memoryMib, config.memoryMib, maxMemoryMib);
  checkBetween('cpus', cpus, 1, maxCpus);
  if (memory === undefined && memoryMib !== undefined && memoryMib !== config.memoryMib) {
    throw new VmOperationError('NO_SUCH_PART', 'the VM was built without memory that can be plugged');
  }
}

function checkBetween(what: string, value: number | undefined, minimum: number, maximum: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= minimum && value <= maximum)) return;
  const message = `${what} is ${value}; this VM can have ${minimum} to ${maximum}`;
  throw new VmOperationError('INVALID_VALUE', message, { value, minimum, maximum });
}

/**
 * Tells the guest its new size, and waits until it has it, as far as it can.
 * @returns what the guest has then
 * @throws VmOperationError as checkResize, and GUEST_NOT_READY when its agent does not answer (rejects)
 */
export async function resizeVm(vm: Resizable, wanted: VmResize): Promise<VmSize> {
  checkResize(vm, wanted);
  const { config, memory } = vm;
  const { memoryMib, cpus } = wanted;
  if (memoryMib !== undefined && memory !== undefined) {
    memory.request((memoryMib - config.memoryMib) * MIB);
    await withPatience(Promise.race([memory.whenReached(), vm.stopped]));
  }
  const online = cpus === undefined ? undefined : await setProcessors(config, cpus);
  return {
    memoryMib: config.memoryMib + (memory?.pluggedSize ?? 0) / MIB,
    ...(online === undefined ? {} : { cpus: online }),
  };
}

async function setProcessors({ vsock }: VmConfig, cpus: number): Promise<number> {
  const { cpusOnline } = await askAgent(vsock?.path, (agent) => agent.call('OnlineResources', { cpus, memory: false }));
  return cpusOnline;
}

async function withPatience(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS);
  });
  await Promise.race([work, patience]);
  clearTimeout(timer);
}
