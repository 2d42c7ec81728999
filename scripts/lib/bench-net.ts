// Runs on the host, in a network namespace of its own: TCP between the guest's first program and a program on the host.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { passtCommand } from '../../src/host/passt.ts';
import { BENCH_INITRAMFS } from '../../test/bench/programs.ts';
import { runSuite, takeTurnsEach } from './bench-suite.ts';
import {
  type Competitor,
  frequency,
  type Guest,
  measureInGuest,
  microvm,
  type Place,
  rate,
  SHARED_RAM,
  startHelper,
  tsvm,
} from './bench-vm.ts';
import type { SuiteResult } from './comparison.ts';

const TAP = 'bench0';
const MAC = '52:54:00:12:34:56';

/** Addresses of a network: the guest's own, the host as the guest sees it, and the one that the host listens on. */
interface Network {
  readonly guest: string;
  readonly host: string;
  readonly listen: string;
}
const TAP_NETWORK: Network = { guest: '10.99.0.2', host: '10.99.0.1', listen: '10.99.0.1' };
/** What passt gives a guest of a host that has no network: its gateway is the host's loopback. */
const PASST_NETWORK: Network = { guest: '169.254.2.1', host: '169.254.2.2', listen: '127.0.0.1' };

interface NetCompetitor extends Competitor {
  readonly network: Network;
}

function nic(netdev: string): string[] {
  return ['-netdev', netdev, '-device', `virtio-net-device,netdev=net,mac=${MAC}`];
}

function onTap(vhost: 'on' | 'off'): NetCompetitor[] {
  const netdev = `tap,id=net,ifname=${TAP},script=no,downscript=no,vhost=${vhost}`;
  return [
    tsvm('tsvm', { devices: () => ['--net', `tap=${TAP},vhost=${vhost},mac=${MAC}`] }),
    microvm('QEMU microvm', { devices: () => nic(netdev) }),
  ].map((competitor) => ({ ...competitor, network: TAP_NETWORK }));
}

function onPasst(): NetCompetitor[] {
  const socket = ({ folder }: Place): string => join(folder, 'passt.sock');
  const start = (place: Place): Promise<AsyncDisposable> => {
    const command = passtCommand({ mode: 'vhost-user' }, '/usr/bin/passt', 0);
    const at = command.indexOf('--fd');
    return startHelper(command.with(at, '--socket').with(at + 1, socket(place)), socket(place));
  };
  const devices = (place: Place, guest: Guest): string[] => [
    ...SHARED_RAM(guest),
    ...['-chardev', `socket,id=passt,path=${socket(place)}`],
    ...nic('vhost-user,id=net,chardev=passt'),
  ];
  return [
    tsvm('tsvm', { devices: () => ['--net', `passt,mac=${MAC}`] }),
    microvm('QEMU microvm', { helpers: start, devices }),
  ].map((competitor) => ({ ...competitor, network: PASST_NETWORK }));
}

function guest({ guest: own, host }: Network): Guest {
  const parameters = `bench=net address=${own} peer=${host} size=8 count=100`;
  return { initrd: BENCH_INITRAMFS, memoryMib: 128, parameters };
}

const FIGURES = {
  toHost: { title: 'guest to host', unit: 'MiB/s', better: 'more' },
  toGuest: { title: 'host to guest', unit: 'MiB/s', better: 'more' },
  roundTrips: { title: 'round trips of one byte', unit: 'ops/s', better: 'more' },
} as const;

function ip(command: string): void {
  execFileSync('ip', command.split(' '));
}

await runSuite(async (runs, folder): Promise<SuiteResult> => {
  const measure = async (competitor: NetCompetitor): Promise<Record<keyof typeof FIGURES, number>> => {
    const { network } = competitor;
    const place = { folder, guestCid: 5 };
    const found = await measureInGuest(competitor, guest(network), place, [`tcp:${network.listen}`]);
    return {
      toHost: rate(found.get('guest-to-host')),
      toGuest: rate(found.get('host-to-guest')),
      roundTrips: frequency(found.get('round-trips')),
    };
  };
  ip('link set lo up');
  ip(`tuntap add ${TAP} mode tap vnet_hdr`);
  ip(`addr add ${TAP_NETWORK.host}/24 dev ${TAP}`);
  ip(`link set ${TAP} up`);
  const ways = { 'tap in the VMM': onTap('off'), 'tap in the kernel (vhost)': onTap('on') };
  const onTaps = await takeTurnsEach(ways, runs, FIGURES, measure);
  // With an interface left, passt would give the guest that one's network.
  ip(`link del ${TAP}`);
  const onPassts = await takeTurnsEach({ 'passt (vhost-user)': onPasst() }, runs, FIGURES, measure);
  return { comparisons: [...onTaps, ...onPassts] };
});
