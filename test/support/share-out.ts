// Shares test files out among hosts, so that all of them are done at about the same time.
import { basename } from 'node:path';

/** What the longer files take in an emulated host, seconds, about. Where a number is wrong, a run takes longer than it could. */
const SECONDS: Readonly<Record<string, number>> = {
  load: 1350,
  docker: 420,
  tskata: 390,
  podman: 175,
  conformance: 140,
  'tskata-cgroup': 125,
  containerd: 115,
  systemd: 110,
  'docker-life': 105,
  peers: 90,
  'back-ends': 90,
  machine: 80,
  'tskata-network': 70,
  'tskata-growth': 70,
  checkpoint: 55,
};
const OTHER_SECONDS = 35;

/** What the tests that are in no host take, seconds, about. */
export const TESTS_OUTSIDE_SECONDS = 520;

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
