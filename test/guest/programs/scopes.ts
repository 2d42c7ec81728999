// Makes and removes control groups of one name by systemd, again and again, as the runtime does for containers.
// scopes.ts CGROUPS_PATH ROUNDS
import { spawn } from 'node:child_process';
import { HostCgroup } from '../../../src/host/cgroup/host-cgroup.ts';
import { hostLayout } from '../../../src/host/cgroup/layout.ts';
import { planCgroup } from '../../../src/host/cgroup/plan.ts';
import { runningSystemd } from '../../../src/host/cgroup/systemd.ts';

const [cgroupsPath = '', rounds] = process.argv.slice(2);
const request = { id: 'c1', cgroupsPath, systemd: true, rootless: false };
const limitsOf = (shares: number) => ({ resources: { cpu: { shares } }, vmMemoryBytes: 64 << 20, overheadBytes: 0 });

/** Processes that do not end when systemd asks them to. */
const STUBBORN = ['-c', 'trap "" TERM; while :; do sleep 1000; done'];

for (let round = 0; round < Number(rounds); round++) {
  const cgroup = new HostCgroup(planCgroup(hostLayout(), request, runningSystemd(false)));
  cgroup.claim();
  cgroup.make(limitsOf(512));
  const [first, second] = [0, 1].map(() => Number(spawn('/bin/sh', STUBBORN, { stdio: 'ignore' }).pid));
  cgroup.enterFirst(Number(first), 'c1', limitsOf(512));
  cgroup.enter(Number(second));
  cgroup.limit(limitsOf(2048));
  cgroup.remove();
}
