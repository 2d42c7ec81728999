// npm run quickstart: builds everything, then runs one OCI container in a VM on this project's own VMM and shows what happened.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reportMarks, type StartReport, timelineRows, timelineSvg, timelineTable } from '../src/vmm/timeline.ts';
import { buildAll, productBuilds } from './lib/artefacts.ts';
import { chooseHost, describeHost, runOnHost } from './lib/host.ts';
import { buildDirectory } from './lib/paths.ts';
import { reportFailure } from './lib/report.ts';
import { run } from './lib/run.ts';

const EXIT_STATUS = 42;
const SCRIPT = `echo "hello from container $(hostname), pid $$, user $(id -un)"
echo "kernel $(uname -r), $(nproc) CPU, $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB of memory"
echo "this line goes to standard error" >&2
exit ${EXIT_STATUS}`;

/** Makes the bundle: busybox as the root file system, and a config.json that \`tskata spec\` would write, with our program. */
async function makeBundle(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await run('cp', ['-a', join(buildDirectory, 'guest/rootfs'), join(folder, 'rootfs')]);
  await run(join(buildDirectory, 'bin/tskata'), ['spec', '--bundle', folder]);
  const configPath = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(configPath, 'utf8'));
  config.hostname = 'quickstart';
  config.process.terminal = false;
  config.process.args = ['sh', '-c', SCRIPT];
  writeFileSync(configPath, `${JSON.stringify(config, null, 2)}\n`);
}

async function quickstart(): Promise<void> {
  await buildAll(productBuilds);
  const host = await chooseHost();
  process.stderr.write(`tskata: ${describeHost(host)}\n`);
  if (host.kind === 'emulated') await buildAll(['host']);
  const folder = join(buildDirectory, 'quickstart');
  const bundle = join(folder, 'bundle');
  const reportPath = join(folder, 'report.json');
  await makeBundle(bundle);
  rmSync(reportPath, { force: true });

  process.stdout.write('\n$ tskata run --bundle build/quickstart/bundle quickstart\n');
  const status = await runOnHost({
    command: [join(buildDirectory, 'bin/tskata'), '--report', reportPath, 'run', '--bundle', bundle, 'quickstart'],
    timeoutMs: 300_000,
  });
  if (status !== EXIT_STATUS)
    throw new Error(`the container should have ended with status ${EXIT_STATUS}, not ${status}`);

  const report: StartReport = JSON.parse(readFileSync(reportPath, 'utf8'));
  const rows = timelineRows(reportMarks(report));
  const picture = join(folder, 'timeline.svg');
  writeFileSync(picture, timelineSvg(`A container in a VM (${host.kind} host)`, rows));
  const exits = Object.values(report.exits).reduce((sum, count) => sum + count, 0);
  const agent = report.agentProcessorUs ?? { user: 0, system: 0 };
  process.stdout.write(`
exit status           ${status}
guest kernel          ${report.guestKernelRelease}
host kernel           ${report.hostKernelRelease}
exits to the VMM      ${exits}
start of the agent    ${(agent.user / 1000).toFixed(1)} ms in its own code, ${(agent.system / 1000).toFixed(1)} ms in the kernel

${timelineTable(rows)}

the same as a picture: ${picture}
`);
}

await quickstart().catch(reportFailure);
