// Takes down what container engines write into config.json for a container with their defaults: rights, filter, masked paths;
// and the program that runc makes of the filter. `npm run host -- node test/conformance/profiles/capture.ts` writes
// the files beside this one anew, on the emulated host; `npm run fix` formats them.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { containerConfig, type Parts } from '../config.ts';

const HERE = import.meta.dirname;
const ROOTFS = join(HERE, '../../../build/guest/rootfs');
const START_TIMEOUT_S = 120;

/** A tmpfs, which goes with the emulated host. */
const folder = mkdtempSync('/run/capture-');
const bundle = join(folder, 'config.json');
const rootfs = join(folder, 'rootfs');
/** Stands for the runtime: keeps the config.json of the container that it is to make, and fails. */
const runtime = join(folder, 'runtime');

cpSync(ROOTFS, rootfs, { recursive: true, verbatimSymlinks: true });
writeFileSync(
  runtime,
  `#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --bundle | -b) cp "$2/config.json" ${bundle} ;; esac
  shift
done
exit 1
`,
  { mode: 0o755 },
);

/** Starts a daemon and waits for its socket. It ends with the emulated host. */
async function startDaemon(program: string, args: readonly string[], socket: string): Promise<void> {
  spawn(program, args, { stdio: 'ignore', detached: true }).unref();
  for (let tries = 0; !existsSync(socket); tries++) {
    if (tries === START_TIMEOUT_S) throw new Error(`${program} made no ${socket} within ${START_TIMEOUT_S} s`);
    await sleep(1000);
  }
}

/** Has runc install a filter, and writes down its instructions: a line for each, code, jt, jf and k of struct sock_filter. */
function captureProgram(engine: string, parts: Parts): void {
  const config = containerConfig(['true'], parts);
  writeFileSync(bundle, JSON.stringify({ ...config, root: { path: rootfs } }));
  const trace = join(folder, 'trace');
  const tracer = [
    '--follow-forks',
    '--no-abbrev',
    '--const-print-style=raw',
    '--trace=seccomp,prctl',
    `--output=${trace}`,
  ];
  execFileSync('strace', [...tracer, 'runc', 'run', '--bundle', folder, engine], { stdio: 'inherit' });
  execFileSync('rm', [bundle]);
  const [, filter = ''] = /filter=\[([^\]]+)\]/.exec(readFileSync(trace, 'utf8')) ?? [];
  const instructions = filter.matchAll(/BPF_(?:STMT|JUMP)\(([^)]+)\)/g);
  const lines = [...instructions].map(([, text = '']) => {
    // "0x5|0|0x10, 0xc000003e, 0, 0x6": code, k, jt, jf
    const [code, k, jt, jf] = text
      .split(', ')
      .map((bits) => bits.split('|').reduce((sum, bit) => sum + Number(bit), 0));
    return [code, jt ?? 0, jf ?? 0, k].join(' ');
  });
  if (lines.length === 0) throw new Error(`the trace of runc has no filter for ${engine}`);
  writeFileSync(join(HERE, `${engine}.filter`), `${lines.join('\n')}\n`);
}

/** Has an engine make a container, which comes as far as the runtime, and writes down what it asked for. */
function capture(engine: string, program: string, args: readonly string[]): void {
  let said = '';
  try {
    execFileSync(program, args, { stdio: 'pipe' });
  } catch (error) {
    said = String((error as { stderr?: Buffer }).stderr ?? error); // The runtime fails always.
  }
  if (!existsSync(bundle)) throw new Error(`${engine} did not come as far as the runtime: ${said}`);
  const { process, linux } = JSON.parse(readFileSync(bundle, 'utf8')) as Parts;
  execFileSync('rm', [bundle]);
  const { capabilities, noNewPrivileges = false } = process ?? {};
  const { seccomp, maskedPaths, readonlyPaths } = linux ?? {};
  if (seccomp === undefined) throw new Error(`${engine} gave its container no filter`);
  const parts = { process: { capabilities, noNewPrivileges }, linux: { seccomp, maskedPaths, readonlyPaths } };
  writeFileSync(join(HERE, `${engine}.json`), `${JSON.stringify(parts, null, 2)}\n`);
  captureProgram(engine, parts);
  console.log(`${engine}: ${execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()}`);
}

mkdirSync('/run/containerd', { recursive: true });
await startDaemon('containerd', [], '/run/containerd/containerd.sock');
capture('containerd', 'ctr', ['run', '--seccomp', '--runc-binary', runtime, '--rootfs', rootfs, 'capture', 'true']);

const daemonConfig = join(folder, 'daemon.json');
writeFileSync(daemonConfig, JSON.stringify({ runtimes: { capture: { path: runtime } } }));
const bare = ['--config-file', daemonConfig, '--bridge=none', '--iptables=false', '--ip6tables=false'];
await startDaemon('dockerd', [...bare, '--containerd=/run/containerd/containerd.sock'], '/run/docker.sock');
execFileSync('sh', ['-c', `tar -C ${rootfs} -c . | docker import - busybox`], { stdio: 'inherit' });
capture('docker', 'docker', ['run', '--runtime=capture', '--network=none', 'busybox', 'true']);

capture('podman', 'podman', [`--runtime=${runtime}`, 'run', '--network=none', '--rootfs', rootfs, 'true']);
