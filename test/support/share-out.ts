// Shares test files out among hosts, so that all of them are done at about the same time.
import { basename } from 'node:path';

/** What the longer files take in an emulated host, seconds, about. Where a number is wrong, a run takes longer than it could. */
const SECONDS: Readonly<Record<string, number>> = {
  tskata: 850,
  conformance: 400,
  'tskata-cgroup': 200,
  peers: 150,
  'back-ends': 110,
  machine: 100,
  'tskata-network': 130,
  docker: 300,
  'docker-life': 200,
  containerd: 200,
  podman: 200,
  'tskata-growth': 90,
};
const OTHER_SECONDS = 45;

function secondsOf(file: string): number {
  return SECONDS[basename(file, '.test.ts')] ?? OTHER_SECONDS;
}

/** @returns at most `count` lists of files, none of them empty */
export function shareOut(files: readonly string[], count: number): string[][] {
  const parts = Array.from({ length: Math.min(count, files.length) }, () => ({ files: [] as string[], seconds: 0 }));
  for (const file of files.toSorted((a, b) => secondsOf(b) - secondsOf(a))) {
    const least = parts.reduce((a, b) => (b.seconds < a.seconds ? b : a));
    least.files.push(file);
    least.seconds += secondsOf(file);
  }
  return parts.map((part) => part.files);
}
