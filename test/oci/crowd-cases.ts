// Whether a container's life is as long beside hundreds of others: by the files that are looked at, as the kernel tells.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { traceCalls } from '../../scripts/lib/system-calls.ts';
import { type Runtime, RuntimeBed, shell } from './harness.ts';
import { PodBed } from './pod-cases.ts';

/** More pods than a node of Kubernetes is made for. */
const OTHERS = 300;
const OTHER = /\/other\d+/;
/** What two lives of one container may differ by: waits, and what is made for all once. */
const TOLERANCE = 50;

/** The system calls with paths of these verbs and of all that they start, a line each; lasts until all of it has ended. */
function fileCalls(bed: RuntimeBed, ...verbs: readonly (readonly string[])[]): string[] {
  const script = verbs.map((verb) => bed.commandLine(...verb).join(' ')).join('\n');
  const trace = traceCalls(['/bin/sh', '-ec', script], bed.folder, ['--signal=none', '--trace=%file']);
  return trace.split('\n').filter((line) => line.includes('(') && !line.includes(' resumed>'));
}

/** Puts many that look like a container that runs into the bed's state, for as long as this is not disposed of. */
function crowd(bed: RuntimeBed, like: string): Disposable {
  const record = readFileSync(join(bed.root, like, 'state.json'), 'utf8');
  const folders = Array.from({ length: OTHERS }, (_, index) => {
    const folder = join(bed.root, `other${index}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'state.json'), record.replace(`"${like}"`, `"${basename(folder)}"`));
    writeFileSync(join(folder, 'lock'), '');
    return folder;
  });
  return {
    [Symbol.dispose]() {
      for (const folder of folders) rmSync(folder, { recursive: true });
    },
  };
}

export function describeTskataCrowd(runtime: Runtime): void {
  describe('beside hundreds of other containers', () => {
    const expectAsAlone = (beside: readonly string[], alone: readonly string[]): void => {
      expect(alone.length).toBeGreaterThan(OTHERS);
      expect(beside.filter((call) => OTHER.test(call))).toEqual([]);
      expect(beside.length).toBeLessThan(alone.length + TOLERANCE);
    };

    test('the life of a container looks at as many files as alone, and at none of theirs', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('exit 0'));
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c0']);
      const life = (id: string): string[] =>
        fileCalls(bed, ['create', '-b', bundle, id], ['start', id], ['state', id], ['delete', '--force', id]);
      const alone = life('c1');
      using _crowd = crowd(bed, 'c0');

      const beside = life('c2');

      const { stdout } = await bed.call(['list', '--quiet']);
      expect(stdout.match(/other\d+/g)).toHaveLength(OTHERS);
      expectAsAlone(beside, alone);
    });

    test('so does that of a container in a pod', async () => {
      await using bed = new PodBed(runtime);
      await bed.startPod();
      const namespaces = await bed.shared('network', 'ipc', 'uts');
      const bundle = bed.bundle({ ...shell('exit 0'), annotations: { 'io.tskata.sandbox-id': 'pod' }, namespaces });
      const life = (id: string): string[] =>
        fileCalls(bed, ['create', '-b', bundle, id], ['start', id], ['delete', '--force', id]);
      const alone = life('c1');
      using _crowd = crowd(bed, 'pod');

      expectAsAlone(life('c2'), alone);
      expect(fileCalls(bed, ['delete', '--force', 'pod']).filter((call) => OTHER.test(call))).toEqual([]);
    });
  });
}
