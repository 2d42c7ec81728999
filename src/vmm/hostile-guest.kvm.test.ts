// A guest without a kernel, on a real processor, that misuses the registers and the rings of a VM's own devices, and then uses
// them well: the process survives, and what the good driver asked for is done.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { virtioMmioSlot } from '../arch/x86_64/layout.ts';
import { sampleElf } from '../arch/x86_64/testing/sample-images.ts';
import * as abi from '../devices/virtio/abi.gen.ts';
import { featureSet } from '../devices/virtio/features.ts';
import { STATUS } from '../devices/virtio/status.ts';
import { requestHeader } from '../devices/virtio/testing/block-guest.ts';
import { encodeHeader } from '../devices/virtio/vsock/request.ts';
import { machineCode } from '../hypervisor/kvm/machine-code.ts';
import { hasKvm } from '../hypervisor/testing/kvm.ts';
import { MIB, PAGE_SIZE } from '../lib/units.ts';
import { buildVm } from './builder.ts';

/** Where the guest's parts are in its RAM of 32 MiB. */
const AT = { code: 16 * MIB, program: 17 * MIB, rings: 18 * MIB, scratch: 19 * MIB, end: 32 * MIB } as const;

/** Carries out a list of accesses of 24 bytes each: address, value, kind. An unknown kind resets the machine. */
const INTERPRETER = machineCode(`
  fc             ; cld
  bb 00 00 10 01 ; mov $0x1100000, %ebx
  48 8b 3b       ; next: mov (%rbx), %rdi
  48 8b 43 08    ; mov 8(%rbx), %rax
  8b 4b 10       ; mov 16(%rbx), %ecx
  48 83 c3 18    ; add $24, %rbx
  83 f9 01       ; cmp $1, %ecx
  74 38          ; je write8
  83 f9 02       ; cmp $2, %ecx
  74 37          ; je write16
  83 f9 04       ; cmp $4, %ecx
  74 37          ; je write32
  83 f9 08       ; cmp $8, %ecx
  74 36          ; je write64
  83 f9 11       ; cmp $0x11, %ecx
  74 36          ; je read8
  83 f9 14       ; cmp $0x14, %ecx
  74 35          ; je read32
  83 f9 18       ; cmp $0x18, %ecx
  74 34          ; je read64
  83 f9 20       ; cmp $0x20, %ecx
  74 34          ; je copyFrom
  83 f9 21       ; cmp $0x21, %ecx
  74 3d          ; je copyTo
  83 f9 30       ; cmp $0x30, %ecx
  74 46          ; je storm
  83 f9 31       ; cmp $0x31, %ecx
  74 51          ; je await
  b0 fe          ; mov $0xfe, %al
  e6 64          ; out %al, $0x64
  eb fe          ; jmp .
  88 07          ; write8: mov %al, (%rdi)
  eb b1          ; jmp next
  66 89 07       ; write16: mov %ax, (%rdi)
  eb ac          ; jmp next
  89 07          ; write32: mov %eax, (%rdi)
  eb a8          ; jmp next
  48 89 07       ; write64: mov %rax, (%rdi)
  eb a3          ; jmp next
  8a 07          ; read8: mov (%rdi), %al
  eb 9f          ; jmp next
  8b 07          ; read32: mov (%rdi), %eax
  eb 9b          ; jmp next
  48 8b 07       ; read64: mov (%rdi), %rax
  eb 96          ; jmp next
  48 89 fe       ; copyFrom: mov %rdi, %rsi
  bf 00 00 30 01 ; mov $0x1300000, %edi
  89 c1          ; mov %eax, %ecx
  f3 a4          ; rep movsb
  eb 88          ; jmp next
  be 00 00 30 01 ; copyTo: mov $0x1300000, %esi
  89 c1          ; mov %eax, %ecx
  f3 a4          ; rep movsb
  e9 7a ff ff ff ; jmp next
  48 89 c1       ; storm: mov %rax, %rcx
  48 c1 e9 20    ; shr $32, %rcx
  89 07          ; again: mov %eax, (%rdi)
  e2 fc          ; loop again
  e9 6a ff ff ff ; jmp next
  66 39 07       ; await: cmp %ax, (%rdi)
  75 fb          ; jne await
  e9 60 ff ff ff ; jmp next`);

const KIND = {
  write8: 0x01,
  write16: 0x02,
  write32: 0x04,
  write64: 0x08,
  read8: 0x11,
  read32: 0x14,
  read64: 0x18,
  /** Bytes from there to the scratch memory, and back. */
  copyFrom: 0x20,
  copyTo: 0x21,
  /** The low half of the value, written as often as the high half says. */
  storm: 0x30,
  /** Waits until 16 bits are the value. */
  await: 0x31,
  end: 0xff,
} as const;

const QUEUE_SIZE = 8;
const NEXT = abi.VRING_DESC_F_NEXT;
const WRITE = abi.VRING_DESC_F_WRITE;
const INDIRECT = abi.VRING_DESC_F_INDIRECT;

type Descriptor = readonly [address: number | bigint, length: number, flags: number, next: number];

/** What the guest does, one access after the other. */
class GuestProgram {
  readonly #accesses: (readonly [address: number, value: bigint, kind: number])[] = [];

  do(kind: keyof typeof KIND, address: number, value: number | bigint = 0): this {
    this.#accesses.push([address, BigInt(value), KIND[kind]]);
    return this;
  }

  get bytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(24 * (this.#accesses.length + 1)));
    for (const [index, [address, value, kind]] of [...this.#accesses, [0, 0n, KIND.end] as const].entries()) {
      view.setBigUint64(24 * index, BigInt(address), true);
      view.setBigUint64(24 * index + 8, value, true);
      view.setUint32(24 * index + 16, kind, true);
    }
    return new Uint8Array(view.buffer);
  }

  /** Bytes into RAM. */
  store(address: number, bytes: Uint8Array): this {
    const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    for (let at = 0; at < padded.length; at += 8) this.do('write64', address + at, view.getBigUint64(at, true));
    return this;
  }

  /** Reset, features, queues and DRIVER_OK. */
  start(device: Device): this {
    this.do('write32', device.page + abi.VIRTIO_MMIO_STATUS, STATUS.reset);
    for (const status of [STATUS.acknowledged, STATUS.driverFound]) {
      this.do('write32', device.page + abi.VIRTIO_MMIO_STATUS, status);
    }
    const features = featureSet(abi.VIRTIO_F_VERSION_1);
    for (const half of [0, 1]) {
      this.do('write32', device.page + abi.VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
      this.do('write32', device.page + abi.VIRTIO_MMIO_DRIVER_FEATURES, (features >> BigInt(32 * half)) & 0xffff_ffffn);
    }
    this.do('write32', device.page + abi.VIRTIO_MMIO_STATUS, STATUS.featuresAgreed);
    for (let queue = 0; queue < device.queueCount; queue++) {
      const ring = ringOf(device, queue);
      // What the rings had before.
      this.do('write64', ring.available).do('write64', ring.used);
      const registers = [
        [abi.VIRTIO_MMIO_QUEUE_SEL, queue],
        [abi.VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE],
        [abi.VIRTIO_MMIO_QUEUE_DESC_LOW, ring.descriptors],
        [abi.VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring.available],
        [abi.VIRTIO_MMIO_QUEUE_USED_LOW, ring.used],
        [abi.VIRTIO_MMIO_QUEUE_READY, 1],
      ] as const;
      for (const [register, value] of registers) this.do('write32', device.page + register, value);
    }
    return this.do('write32', device.page + abi.VIRTIO_MMIO_STATUS, STATUS.running);
  }

  /** Descriptors from index 0 on, offered by these heads; the index says so many. */
  offer(device: Device, queue: number, descriptors: readonly Descriptor[], heads = [0], index = heads.length): this {
    const ring = ringOf(device, queue);
    for (const [at, [address, length, flags, next]] of descriptors.entries()) {
      this.do('write64', ring.descriptors + 16 * at, address);
      this.do(
        'write64',
        ring.descriptors + 16 * at + 8,
        BigInt(length) | (BigInt(flags) << 32n) | (BigInt(next) << 48n),
      );
    }
    for (const [at, head] of heads.entries()) this.do('write16', ring.available + 4 + 2 * at, head);
    return this.do('write16', ring.available + 2, index);
  }

  notify(device: Device, queue: number, times = 1): this {
    return this.do('storm', device.page + abi.VIRTIO_MMIO_QUEUE_NOTIFY, (BigInt(times) << 32n) | BigInt(queue));
  }

  awaitUsed(device: Device, queue: number, count: number): this {
    return this.do('await', ringOf(device, queue).used + 2, count);
  }
}

interface Device {
  readonly page: number;
  readonly queueCount: number;
  /** A queue that the device takes from at once. */
  readonly eagerQueue: number;
}

/** In the order in which a VM has them. */
const BLOCK: Device = { page: virtioMmioSlot(0).address, queueCount: 1, eagerQueue: 0 };
const VSOCK: Device = { page: virtioMmioSlot(1).address, queueCount: 3, eagerQueue: 1 };
const RNG: Device = { page: virtioMmioSlot(2).address, queueCount: 1, eagerQueue: 0 };
const DEVICES = [BLOCK, VSOCK, RNG];
const HOLE = virtioMmioSlot(4).address;

function ringOf({ page }: Device, queue: number) {
  const base = AT.rings + (page - BLOCK.page) * 16 + queue * 4 * PAGE_SIZE;
  return { descriptors: base, available: base + PAGE_SIZE, used: base + 2 * PAGE_SIZE, buffer: base + 3 * PAGE_SIZE };
}

/** Rings that no device can take. */
const ATTACKS: readonly (readonly [descriptors: readonly Descriptor[], heads?: number[], index?: number])[] = [
  [[[AT.scratch, 16, NEXT, 0]]],
  [
    [
      [AT.scratch, 16, NEXT | WRITE, 1],
      [AT.scratch, 16, NEXT | WRITE, 0],
    ],
  ],
  [[[AT.scratch, 16, NEXT, 0xffff]]],
  [[], [0xffff]],
  [[[AT.end - 8, 16, WRITE, 0]]],
  [[[0xffff_ffff_ffff_fff8n, 16, WRITE, 0]]],
  [[[BLOCK.page, 64, WRITE, 0]]],
  [[[AT.scratch, 0, WRITE, 0]]],
  [[[AT.scratch, 0xffff_ffff, WRITE, 0]]],
  [
    [
      [AT.scratch, 16, WRITE | NEXT, 1],
      [AT.scratch, 16, 0, 0],
    ],
  ],
  [[[AT.scratch, 16, INDIRECT, 0]]],
  [[[AT.scratch, 16, WRITE, 0]], [0], QUEUE_SIZE + 1],
  [[[AT.scratch, 16, WRITE, 0]], [0], 0x8000],
];

const STORM = 40;

function attackRings(program: GuestProgram, device: Device): void {
  for (const [descriptors, heads, index] of ATTACKS) {
    program.start(device).offer(device, device.eagerQueue, descriptors, heads, index);
    program.notify(device, device.eagerQueue, STORM).do('read32', device.page + abi.VIRTIO_MMIO_STATUS);
    // The next reset comes in the middle of that, or after it.
    for (let queue = 0; queue < 8; queue++) program.notify(device, queue);
  }
}

/** Accesses of every width, all over the page and across its ends. */
function attackRegisters(program: GuestProgram, device: Device): void {
  program.start(device);
  const { page } = device;
  for (let offset = 0; offset < 0x140; offset += 4) {
    for (const kind of ['read8', 'read32', 'read64', 'write8', 'write16', 'write64'] as const) {
      program.do(kind, page + offset, 0x0101_0101_0101_0101n);
    }
  }
  for (const kind of ['read32', 'read64', 'write16', 'write32', 'write64'] as const) {
    program
      .do(kind, page + PAGE_SIZE - 1, 0xffff_ffff)
      .do(kind, page - 1, 0xffff_ffff)
      .do(kind, page + 0x51, 0);
  }
  program
    .do('copyFrom', page, PAGE_SIZE)
    .do('copyTo', page, 0x100)
    .do('copyTo', page + 0x100, 64);
  for (const status of [0xff, 0x80, 0x8f, 0x40, 1, 3, 0xb, 0xf, 7]) {
    program.do('write32', page + abi.VIRTIO_MMIO_STATUS, status);
  }
}

function attackHoles(program: GuestProgram): void {
  for (const kind of ['read8', 'read32', 'read64', 'write8', 'write32', 'write64'] as const) {
    program
      .do(kind, HOLE, 1)
      .do(kind, HOLE + PAGE_SIZE - 3, 1)
      .do(kind, HOLE + 0x50, 1)
      .do(kind, AT.end, 1);
  }
  program
    .do('copyFrom', HOLE, 256)
    .do('copyTo', HOLE, 256)
    .do('copyFrom', BLOCK.page + PAGE_SIZE - 8, 16);
}

const PATTERN = Uint8Array.from({ length: 512 }, (_, index) => (index * 7) & 0xff);
const HOST_PORT = 1234;

/** Random bytes to one sector, a pattern to another, and a connection to the host. */
function behave(program: GuestProgram): void {
  const random = ringOf(RNG, 0).buffer;
  program
    .start(RNG)
    .offer(RNG, 0, [[random, 512, WRITE, 0]])
    .notify(RNG, 0)
    .awaitUsed(RNG, 0, 1);
  program.start(BLOCK);
  const { buffer } = ringOf(BLOCK, 0);
  const requests = [
    [7n, buffer + 1024],
    [8n, random],
  ] as const;
  program.store(buffer + 1024, PATTERN);
  for (const [index, [sector, data]] of requests.entries()) {
    program.store(buffer, requestHeader(abi.VIRTIO_BLK_T_OUT, sector));
    const chain: Descriptor[] = [
      [buffer, 16, NEXT, 1],
      [data, 512, NEXT, 2],
      [buffer + 512, 1, WRITE, 0],
    ];
    program
      .offer(BLOCK, 0, chain, [0, 0].slice(0, index + 1))
      .notify(BLOCK, 0)
      .awaitUsed(BLOCK, 0, index + 1);
  }
  const packet = ringOf(VSOCK, 1).buffer;
  const request = encodeHeader({
    sourceCid: 3n,
    destinationCid: 2n,
    sourcePort: 99,
    destinationPort: HOST_PORT,
    length: 0,
    type: abi.VIRTIO_VSOCK_TYPE_STREAM,
    operation: abi.VIRTIO_VSOCK_OP_REQUEST,
    flags: 0,
    bufferSize: 4096,
    forwardedCount: 0,
  });
  program
    .start(VSOCK)
    .store(packet, request)
    .offer(VSOCK, 0, [[ringOf(VSOCK, 0).buffer, 4096, WRITE, 0]]);
  program
    .offer(VSOCK, 1, [[packet, request.length, 0, 0]])
    .notify(VSOCK, 1)
    .awaitUsed(VSOCK, 1, 1)
    .awaitUsed(VSOCK, 0, 1);
}

describe.skipIf(!hasKvm())('a hostile guest on a real processor', () => {
  let folder = '';
  let server: Server | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tsvm-hostile-'));
  });

  afterEach(() => {
    server?.close();
    rmSync(folder, { recursive: true });
  });

  /** Runs a program to its end. @returns why the VM ended, what was logged, the disk, and connections to the host */
  async function run(fill: (program: GuestProgram) => void) {
    const program = new GuestProgram();
    fill(program);
    const path = (name: string) => join(folder, name);
    const segments = [
      { address: AT.code, bytes: INTERPRETER },
      { address: AT.program, bytes: program.bytes },
    ];
    writeFileSync(path('kernel'), sampleElf({ segments }));
    writeFileSync(path('disk.img'), new Uint8Array(64 * 1024));
    let connections = 0;
    server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => {});
    }).listen(path(`v.sock_${HOST_PORT}`));
    const log: string[] = [];
    await using vm = await buildVm(
      {
        kernelPath: path('kernel'),
        memoryMib: 32,
        cpus: 1,
        disks: [{ path: path('disk.img') }],
        vsock: { guestCid: 3, path: path('v.sock') },
      },
      { log: (line) => void log.push(line) },
    );
    vm.start();
    const end = await vm.stopped;
    return { end: end.kind, log: log.join('\n'), disk: readFileSync(path('disk.img')), connections };
  }

  test.each([
    ['misuses rings', (program: GuestProgram) => DEVICES.forEach((device) => void attackRings(program, device))],
    [
      'misuses registers',
      (program: GuestProgram) => DEVICES.forEach((device) => void attackRegisters(program, device)),
    ],
    ['reads and writes where nothing is', attackHoles],
  ])('%s, then uses the devices well', async (_, attack) => {
    const { end, disk, connections } = await run((program) => {
      attack(program);
      behave(program);
    });

    expect(end).toBe('guest-reset');
    expect(disk.subarray(7 * 512, 8 * 512).equals(PATTERN)).toBe(true);
    expect(new Set(disk.subarray(8 * 512, 9 * 512)).size).toBeGreaterThan(100);
    expect(connections).toBe(1);
  });

  test('is told of in the log, by device', async () => {
    const { log } = await run((program) => {
      for (const device of DEVICES) {
        program.start(device).offer(device, device.eagerQueue, [], [0xffff]).notify(device, device.eagerQueue);
        // Until the device says so: DEVICE_NEEDS_RESET beside the rest.
        program.do('await', device.page + abi.VIRTIO_MMIO_STATUS, STATUS.running | abi.VIRTIO_CONFIG_S_NEEDS_RESET);
      }
    });

    for (const name of ['disk.img', 'vsock', 'rng']) {
      expect(log).toMatch(new RegExp(`${name}.* failed: .*descriptor 65535 in a table of ${QUEUE_SIZE}`));
    }
  });
});
