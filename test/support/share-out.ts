// Shares test files out among hosts, so that all of them are done at about the same time.
import { basename } from 'node:path';

/** What the longer files take in an emulated host, seconds, about. Where a number is wrong, a run takes longer than it could. */
const SECONDS: Readonly<Record<string, number>> = {
  load: 1567,
  docker: 440,
  tskata: 430,
  conformance: 266,
  podman: 175,
  'back-ends': 135,
  'tskata-cgroup': 125,
  'docker-life': 121,
  machine: 114,
  containerd: 102,
  'tskata-growth': 102,
  'agent-cgroup': 94,
  peers: 88,
  systemd: 85,
  'docker-images': 80,
  'console-balloon': 65,
  'tskata-network': 65,
  net: 63,
  api: 58,
  tsvm: 55,
  checkpoint: 52,
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
