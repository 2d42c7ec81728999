// Two hundred lives of a VM with all of its devices leave this process as it was.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sampleElf } from '../arch/x86_64/testing/sample-images.ts';
import { findVirtiofsd } from '../host/virtiofsd.ts';
import { hasKvm } from '../hypervisor/testing/kvm.ts';
import { MIB } from '../lib/units.ts';
import { buildVm } from './builder.ts';
import type { VmConfig } from './config.ts';
import { restoreVm } from './restore.ts';

const CYCLES = 200;
/** Lives before the first count: threads of pools start, modules are loaded. */
const WARM_UP_CYCLES = 5;
/** Each starts two programs. */
const CYCLES_WITH_SHARES = 20;
const ENTRY = 16 * MIB;
/** A kernel that resets the machine by the keyboard controller: `mov $0xfe, %al; out %al, $0x64; jmp .` */
const RESET = Uint8Array.of(0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe);
/** A kernel that does nothing for ever: `jmp .` */
const ENDLESS = Uint8Array.of(0xeb, 0xfe);

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-life-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function makeConfig(code: Uint8Array): VmConfig {
  const path = (name: string) => join(folder, name);
  writeFileSync(path('kernel'), sampleElf({ segments: [{ address: ENTRY, bytes: code }] }));
  for (const name of ['first.img', 'second.img']) {
    writeFileSync(path(name), '');
    truncateSync(path(name), MIB);
  }
  return {
    kernelPath: path('kernel'),
    memoryMib: 32,
    cpus: 2,
    serial: true,
    disks: [{ path: path('first.img') }, { path: path('second.img'), cache: 'direct' }],
    nets: [{ end: { kind: 'none' } }],
    vsock: { guestCid: 3, path: path('v.sock') },
    console: {},
    balloon: { targetMib: 1 },
  };
}

/** What a process holds that a leak would add to. */
function holdings() {
  const children = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').trim(),
  );
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    children: children.filter((list) => list !== ''),
    /** Of the heap of JavaScript and of malloc, which come and go, there are others. */
    namedMappings: maps.filter((line) => /memfd|kvm|eventfd|\.img/.test(line)),
    files: readdirSync(folder).sort(),
    runtimeFolders: readdirSync(tmpdir()).filter((name) => /^tsvm-(?!life|test)/.test(name)),
  };
}

/** RSS grows with JavaScript's heap; address space that is mapped for guests would show here. */
function virtualSizeMib(): number {
  return Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
}

function hasVirtiofsd(): boolean {
  try {
    findVirtiofsd();
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

async function live(config: VmConfig): Promise<string> {
  await using vm = await buildVm(config, { log: () => {} });
  vm.start();
  return (await vm.stopped).kind;
}

describe.skipIf(!hasKvm())('a VM with all devices', () => {
  test(`leaves nothing after ${CYCLES} lives that its guest ends`, { timeout: 300_000 }, async () => {
    const config = makeConfig(RESET);
    for (let cycle = 0; cycle < WARM_UP_CYCLES; cycle++) await live(config);
    const before = holdings();
    const sizeBefore = virtualSizeMib();
    const ends = new Set<string>();

    for (let cycle = 0; cycle < CYCLES; cycle++) ends.add(await live(config));

    expect([...ends]).toEqual(['guest-reset']);
    await expect.poll(holdings, { timeout: 5000 }).toEqual(before);
    // 200 times 32 MiB of guest memory would be 6400.
    expect(virtualSizeMib() - sizeBefore).toBeLessThan(1000);
  });

  test.skipIf(!hasVirtiofsd())('leaves nothing of the programs behind its shares', { timeout: 120_000 }, async () => {
    const path = join(folder, 'shared');
    mkdirSync(path);
    const shares = ['one', 'two'].map((tag) => ({ tag, directory: path }));
    const config = { ...makeConfig(RESET), shares };
    await live(config);
    const before = holdings();

    for (let cycle = 0; cycle < CYCLES_WITH_SHARES; cycle++) await live(config);

    await expect.poll(holdings, { timeout: 5000 }).toEqual(before);
  });

  test('leaves nothing after being ended while it runs, at any moment', { timeout: 120_000 }, async () => {
    const config = makeConfig(ENDLESS);
    await using first = await buildVm(config, { log: () => {} });
    await first[Symbol.asyncDispose]();
    const before = holdings();

    for (const delayMs of [0, 1, 2, 5, 10, 20, 50]) {
      await using vm = await buildVm(config, { log: () => {} });
      vm.start();
      await sleep(delayMs);
      vm.kill();
      expect((await vm.stopped).kind).toBe('killed');
    }

    await expect.poll(holdings, { timeout: 5000 }).toEqual(before);
  });

  test('leaves a snapshot and nothing else, whether one is written, restored, given up or refused', async () => {
    const config = makeConfig(ENDLESS);
    const path = join(folder, 'snapshot');
    const silent = { log: () => {} };
    const round = async (): Promise<unknown[]> => {
      rmSync(path, { recursive: true, force: true });
      {
        await using vm = await buildVm(config, silent);
        vm.start();
        await vm.snapshot(path);
        expect(vm.state).toBe('running');
      }
      {
        await using vm = await restoreVm(path, {}, silent);
        vm.start();
        await vm.pause();
        const givenUp = expect(vm.snapshot(join(folder, 'second'))).rejects.toMatchObject({ code: 'ENDED' });
        await vm[Symbol.asyncDispose]();
        await givenUp;
      }
      const disks = config.disks?.slice(1) ?? [];
      const refusals = [restoreVm(path, { devices: { disks } }, silent), restoreVm(folder, {}, silent)];
      return (await Promise.allSettled(refusals)).map(({ status }) => status);
    };
    for (let cycle = 0; cycle < WARM_UP_CYCLES; cycle++) await round();
    const before = holdings();

    for (let cycle = 0; cycle < 10; cycle++) expect(await round()).toEqual(['rejected', 'rejected']);

    await expect.poll(holdings, { timeout: 5000 }).toEqual(before);
  });

  test('leaves nothing when it cannot be built: a device is missing', async () => {
    const config = makeConfig(RESET);
    await live(config);
    const before = holdings();

    for (let attempt = 0; attempt < 20; attempt++) {
      const broken = { ...config, disks: [...(config.disks ?? []), { path: join(folder, 'not-there') }] };
      await expect(buildVm(broken, { log: () => {} })).rejects.toThrow('not-there');
    }

    await expect.poll(holdings, { timeout: 5000 }).toEqual(before);
  });
});
