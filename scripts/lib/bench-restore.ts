// Runs on the host: a guest that goes on from a snapshot, beside one that boots, until its first word reaches the host.
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, say, takeTurns } from './bench-suite.ts';
import { type Competitor, type Guest, microvm, type Place, RunningVm, TSVM, tsvm } from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const GUEST: Guest = { initrd: BENCH_INITRAMFS, memoryMib: 128, parameters: 'bench=wait' };
/** Counts hardly vary. */
const COUNTED_RUNS = 3;

function control({ folder }: Place): string {
  return join(folder, 'control.sock');
}

/** Boots a guest and saves it. */
async function save(competitor: Competitor, place: Place, how: () => Promise<void>): Promise<void> {
  say(`saving a guest of ${competitor.name}`);
  await using vm = new RunningVm(competitor, GUEST, place);
  await vm.connectedMs();
  await how();
}

/** Asks QEMU's monitor (QMP) to write the guest to a file. */
async function migrate(socketPath: string, file: string): Promise<void> {
  const socket = connect(socketPath);
  const send = (execute: string, more: object = {}): void => {
    socket.write(`${JSON.stringify({ execute, ...more })}\n`);
  };
  send('qmp_capabilities');
  send('migrate', { arguments: { uri: `file:${file}` } });
  send('query-migrate');
  for await (const line of createInterface(socket)) {
    const { return: answer, error } = JSON.parse(line);
    if (error !== undefined) throw new Error(`QEMU: ${error.desc}`);
    if (answer?.status === 'failed') throw new Error(`QEMU: ${answer['error-desc']}`);
    if (answer?.status === 'completed') break;
    if (answer?.status !== undefined) send('query-migrate');
  }
  socket.destroy();
}

/** Everyone that starts a guest, each with what it starts from in place. */
async function prepare(place: Place): Promise<Competitor[]> {
  const [snapshot, file] = [join(place.folder, 'snapshot'), join(place.folder, 'migration')];
  const booted = tsvm('tsvm boot');
  const bootedQemu = microvm('QEMU microvm');
  await save(tsvm('tsvm', { devices: () => ['--api-socket', control(place)] }), place, async () => {
    execFileSync(TSVM, ['snapshot', '--api-socket', control(place), snapshot]);
  });
  const monitor = microvm('QEMU microvm', { devices: () => ['-qmp', `unix:${control(place)}.qmp,server=on,wait=off`] });
  await save(monitor, place, () => migrate(`${control(place)}.qmp`, file));
  const restored = (name: string, flags: readonly string[]): Competitor => ({
    ...booted,
    name,
    command: () => [TSVM, 'restore', snapshot, ...flags],
  });
  return [
    restored('tsvm restore', []),
    restored('tsvm restore --no-verify', ['--no-verify']),
    booted,
    {
      ...bootedQemu,
      name: 'QEMU -incoming',
      command: (guest, at) => [...bootedQemu.command(guest, at), '-incoming', `file:${file}`],
    },
    bootedQemu,
  ];
}

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const place: Place = { folder, guestCid: 5 };
  const isCounted = process.argv.includes('--counted');
  const title = 'start of the program to the first word of the guest';
  const figure = isCounted ? { title: `instructions, ${title}`, unit: 'M' } : { title, unit: 'ms' };
  const comparisons = await takeTurns(
    await prepare(place),
    isCounted ? COUNTED_RUNS : runs,
    { start: figure },
    async (competitor) => {
      await using vm = new RunningVm(competitor, GUEST, place);
      return { start: await vm.connectedMs() };
    },
  );
  return { comparisons };
});
