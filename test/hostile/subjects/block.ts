import * as abi from '../../../src/devices/virtio/abi.gen.ts';
import { BlockDevice, MAX_IN_FLIGHT } from '../../../src/devices/virtio/block/device.ts';
import { MemoryDisk, requestHeader, requestRange } from '../../../src/devices/virtio/testing/block-guest.ts';
import { concatenate } from '../../../src/devices/virtio/testing/mock-driver.ts';
import { KIB } from '../../../src/lib/units.ts';
import type { Subject, Tested } from '../subject.ts';

const DISK_SIZE = 16 * KIB;
const TYPES = [
  abi.VIRTIO_BLK_T_IN,
  abi.VIRTIO_BLK_T_OUT,
  abi.VIRTIO_BLK_T_FLUSH,
  abi.VIRTIO_BLK_T_GET_ID,
  abi.VIRTIO_BLK_T_DISCARD,
  abi.VIRTIO_BLK_T_WRITE_ZEROES,
];
const SECTORS = [0n, 3n, 31n, 2n ** 63n];

/** Requests for a range carry it behind the header. */
function opening(type: number, sector: bigint): Uint8Array {
  const hasRange = type === abi.VIRTIO_BLK_T_DISCARD || type === abi.VIRTIO_BLK_T_WRITE_ZEROES;
  const range = requestRange(sector, 2);
  return concatenate([requestHeader(type, sector), ...(hasRange && 'read' in range ? [range.read] : [])]);
}

function create(readOnly: boolean): Tested {
  const disk = new MemoryDisk(DISK_SIZE, readOnly);
  return {
    device: new BlockDevice({ name: 'disk0', backend: disk }),
    act(choice) {
      const actions = [
        () => disk.release(choice),
        () => disk.release(),
        () => {
          disk.isHeld = true;
        },
        () => disk.releaseAll(),
        () => {
          disk.isBroken = !disk.isBroken;
        },
      ];
      actions[choice % actions.length]?.();
    },
    release() {
      disk.isBroken = false;
      disk.releaseAll();
    },
    received: () => [disk.bytes],
    excess() {
      if (disk.heldCount > MAX_IN_FLIGHT) return `the disk works on ${disk.heldCount} requests at a time`;
      const beyond = disk.log.find((line) => {
        const [, offset = '0', length = '0'] = line.split(' ');
        return Number(offset) + Number(length) > DISK_SIZE;
      });
      if (beyond !== undefined) return `it asked its disk of ${DISK_SIZE} bytes for "${beyond}"`;
      const change = readOnly ? disk.log.find((line) => !line.startsWith('read')) : undefined;
      return change === undefined ? undefined : `it asked a read-only disk for "${change}"`;
    },
    async use(driver, settle) {
      const queue = driver.queue(0);
      queue.push({ read: requestHeader(abi.VIRTIO_BLK_T_IN, 5n) }, { write: 512 }, { write: 1 });
      queue.kick();
      await settle();
      const [used] = queue.takeUsed();
      return (
        used?.room.at(-1) === abi.VIRTIO_BLK_S_OK &&
        Buffer.compare(used.room.subarray(0, 512), disk.bytes.subarray(5 * 512, 6 * 512)) === 0
      );
    },
  };
}

const openings = TYPES.flatMap((type) => SECTORS.map((sector) => opening(type, sector)));

export const block: Subject = { name: 'block', eagerQueue: 0, openings, create: () => create(false) };
export const readOnlyBlock: Subject = {
  name: 'block, read-only',
  eagerQueue: 0,
  openings,
  create: () => create(true),
};
