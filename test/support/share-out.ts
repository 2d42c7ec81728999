// Shares test files out among hosts, so that all of them are done at about the same time.
import { basename } from 'node:path';

/** What the longer files take in an emulated host, seconds, about. Where a number is wrong, a run takes longer than it could. */
const SECONDS: Readonly<Record<string, number>> = {
  load: 1440,
  tskata: 385,
  docker: 360,
  conformance: 210,
  podman: 170,
  'tskata-cgroup': 125,
  systemd: 120,
  containerd: 115,
  'back-ends': 105,
  machine: 105,
  'tskata-growth': 95,
  peers: 85,
  'docker-images': 95,
  'docker-life': 80,
  checkpoint: 75,
  'console-balloon': 70,
  'agent-cgroup': 65,
  'tskata-network': 65,
};
const OTHER_SECONDS = 30;

/** What the tests that are in no host take, seconds, about. */
export const TESTS_OUTSIDE_SECONDS = 840;

function secondsOf(file: string): number {
  return SECONDS[basename(file, '.test.ts')] ?? OTHER_SECONDS;
}

/**
 * @param lateSeconds how much later than the others the last host begins
 * @returns at most `count` lists of files, none of them empty
 */
export function shareOut(files: readonly string[], count: number, lateSeconds = 0): string[][] {
  const parts = Array.from({ length: Math.min(count, files.length) }, () => ({ files: [] as string[], seconds: 0 }));
  const last = parts.at(-1);
  if (last !== undefined && parts.length > 1) last.seconds = lateSeconds;
  for (const file of files.toSorted((a, b) => secondsOf(b) - secondsOf(a))) {
    const least = parts.reduce((a, b) => (b.seconds < a.seconds ? b : a));
    least.files.push(file);
    least.seconds += secondsOf(file);
  }
  return parts.map((part) => part.files).filter((files) => files.length > 0);
}
