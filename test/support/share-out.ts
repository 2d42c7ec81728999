// Shares test files out among hosts, so that all of them are done at about the same time.
import { basename } from 'node:path';

/** What the longer files take in an emulated host, seconds, about. Where a number is wrong, a run takes longer than it could. */
const SECONDS: Readonly<Record<string, number>> = {
  tskata: 500,
  conformance: 180,
  'tskata-cgroup': 140,
  peers: 120,
  'back-ends': 110,
  machine: 100,
  'tskata-network': 90,
  docker: 530,
  'docker-life': 480,
  containerd: 130,
  podman: 215,
  'tskata-growth': 90,
  checkpoint: 70,
  systemd: 140,
};
const OTHER_SECONDS = 45;

/** What the tests that are in no host take, seconds, about. */
export const TESTS_OUTSIDE_SECONDS = 600;

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
