// An update whose last steps fail: what of it is taken back, in a guest and a VM that are fakes, and in files that are not.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { socketStream } from '../agent-client/socket-stream.ts';
import { MIB } from '../lib/units.ts';
import { agentService } from '../protocol/agent-service.ts';
import { sandboxService } from '../protocol/sandbox-service.ts';
import { MethodTable, serveConnection } from '../protocol/server.ts';
import { StatusError } from '../protocol/status.ts';
import { findInstallation } from './installation.ts';
import { identify } from './process-identity.ts';
import { CGROUP_FILE, CONTROL_SOCKET, type ContainerRecord, StateStore, VSOCK_SOCKET } from './state-store.ts';
import { updateContainer } from './update.ts';

const OVERHEAD_MIB = 256;
const SELF = identify(process.pid) ?? { pid: 0, startTime: 0 };
const RECORD: ContainerRecord = {
  ...{ ociVersion: '1.2.0', id: 'c1', bundle: '/b', rootfs: '/b/rootfs', created: '2026-01-01T00:00:00Z', uid: 0 },
  ...{ phase: 'started', creator: SELF, sandbox: SELF, init: SELF },
  resources: { memory: { limit: 64 * MIB, reservation: 32 * MIB } },
  vmMemoryMib: 226,
};

/** What the control group on the host has then. */
const BEFORE = { vmMib: 226, lowMib: 32 };

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'update-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Which calls fail, by what the fake has heard so far of the same kind. */
interface Failing {
  readonly resize?: number;
  readonly guest?: number;
}

/** What of both services an update asks. */
const VM = { name: sandboxService.name, methods: { Resize: sandboxService.methods.Resize } };
const GUEST = { name: agentService.name, methods: { UpdateContainer: agentService.methods.UpdateContainer } };

/** A sandbox process, with its VM and its guest. */
class FakeSandbox implements AsyncDisposable {
  /** What the VM was asked to be, MiB, in order. */
  readonly sizes: number[] = [];
  /** What the guest was given as limit of memory, bytes, in order. */
  readonly limits: unknown[] = [];
  readonly #servers = [createServer(), createServer()];

  static async start(directory: string, failing: Failing): Promise<FakeSandbox> {
    const fake = new FakeSandbox();
    const [control, vsock] = fake.#servers;
    const methods = new MethodTable()
      .add(VM, {
        Resize: async ({ memoryMib, cpus }) => {
          if (fake.sizes.push(memoryMib) === failing.resize) throw new StatusError('INTERNAL', 'the VM stays as it is');
          return { memoryMib, cpus };
        },
      })
      .add(GUEST, {
        UpdateContainer: async ({ ociResourcesJson }) => {
          const count = fake.limits.push(JSON.parse(ociResourcesJson).memory?.limit);
          if (count === failing.guest) throw new StatusError('INTERNAL', 'the guest has no such limit');
          return { warnings: [] };
        },
      });
    const serve = (socket: Socket): void => void serveConnection(socketStream(socket), methods).catch(() => {});
    control?.on('connection', serve).listen(join(directory, CONTROL_SOCKET));
    vsock?.listen(join(directory, VSOCK_SOCKET)).on('connection', async (socket) => {
      await once(socket, 'data'); // CONNECT
      socket.write('OK 1\n');
      serve(socket);
    });
    await Promise.all(fake.#servers.map((server) => once(server, 'listening')));
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
  }
}

/** Updates a container of 64 MiB to another limit, of which some is to be spared. @returns what of it all has changed, and how it ended */
async function update(limitMib: number, failing: Failing) {
  const store = new StateStore(folder);
  store.create(RECORD)[Symbol.dispose]();
  const directory = store.directory('c1');
  const path = join(folder, 'cgroup');
  mkdirSync(path);
  const limit = join(path, 'memory.max');
  const low = join(path, 'memory.low');
  const onHost = (): unknown => ({
    vmMib: Number(readFileSync(limit, 'utf8')) / MIB - OVERHEAD_MIB,
    lowMib: Number(readFileSync(low, 'utf8')) / MIB,
  });
  writeFileSync(low, String(32 * MIB));
  writeFileSync(limit, String((RECORD.vmMemoryMib + OVERHEAD_MIB) * MIB));
  const places = [{ controllers: [], mountPoint: folder, path }];
  const cgroup = { version: 2, places, isOptional: false, isClaimed: true };
  writeFileSync(join(directory, CGROUP_FILE), JSON.stringify({ cgroup, rootless: false, overheadMib: OVERHEAD_MIB }));
  writeFileSync(join(folder, 'config.toml'), '');
  const source = { installation: findInstallation(), config: join(folder, 'config.toml') };
  await using sandbox = await FakeSandbox.start(directory, failing);
  const warnings: string[] = [];

  const change = { memory: { limit: limitMib * MIB, reservation: 16 * MIB } };
  const error = await updateContainer(store, source, 'c1', change, async (text) => void warnings.push(text)).catch(
    (error: Error) => error.message,
  );

  const { sizes, limits } = sandbox;
  return { error, sizes, limits, warnings, onHost: onHost(), record: store.read('c1') };
}

test('a VM that has grown for an update is as big as before when the guest refuses the limits', async () => {
  const { error, sizes, limits, warnings, onHost, record } = await update(512, { guest: 1 });

  expect(error).toContain('the guest has no such limit');
  expect(sizes).toEqual([586, 226]);
  expect(limits).toEqual([512 * MIB]);
  expect([onHost, record, warnings]).toEqual([BEFORE, RECORD, []]);
});

test('limits are as before, in the guest and on the host, when the VM does not become smaller with them', async () => {
  const { error, sizes, limits, warnings, onHost, record } = await update(32, { resize: 2 });

  expect(error).toContain('the VM stays as it is');
  expect(sizes).toEqual([226, expect.any(Number), 226]);
  expect(sizes[1]).toBeLessThan(226);
  expect(limits).toEqual([32 * MIB, 64 * MIB]);
  expect([onHost, record, warnings]).toEqual([BEFORE, RECORD, []]);
});

test('nothing but the VM was asked when it cannot grow', async () => {
  const { error, sizes, limits, onHost, record } = await update(512, { resize: 1 });

  expect(error).toContain('the VM stays as it is');
  expect(sizes).toEqual([586, 226]);
  expect(limits).toEqual([]);
  expect([onHost, record]).toEqual([BEFORE, RECORD]);
});

test('what cannot be taken back is told, beside what went wrong first', async () => {
  const { error, limits, warnings } = await update(32, { resize: 2, guest: 2 });

  expect(error).toContain('the VM stays as it is');
  expect(limits).toEqual([32 * MIB, 64 * MIB]);
  expect(warnings).toEqual([
    expect.stringMatching(/^the guest keeps limits that were to be taken back: .*the guest has no such limit/),
  ]);
});
