// The calls of engines, word by word as containerd's shim, conmon, podman and CRI-O make them: in one container's life.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Ended, type Runtime, RuntimeBed, shell } from './harness.ts';
import { manage } from './helpers.ts';

/** All that podman and CRI-O leave in the environment. */
const XDG = { XDG_RUNTIME_DIR: '/run/user/0' };
const DONE: Ended = { status: 0, stdout: '', stderr: '' };
/** Nothing is changed: what a change does is in update-cases.ts. */
const LIMITS = {};

export function describeEngines(runtime: Runtime): void {
  describe('the calls of engines', () => {
    test('are taken word by word', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = (name: string): string => join(bed.folder, name);
      const shim = (...args: readonly string[]): string[] => ['--log', path('log'), '--log-format', 'json', ...args];
      const direct = (...args: readonly string[]): Promise<Ended> => bed.call(args, '', XDG);
      const process = { args: ['sh', '-c', 'cat; exit 43'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } };
      writeFileSync(path('process.json'), JSON.stringify(process));
      writeFileSync(path('resources.json'), JSON.stringify(LIMITS));
      const exec = (pidFile: string, ...args: readonly string[]) =>
        manage(path(pidFile), bed.commandLine(...shim('exec', ...args, 'c1')));

      // containerd's shim makes it; what conmon passes besides is taken by all.
      const bundle = bed.bundle(shell('trap "exit 7" TERM; while :; do sleep 0.1; done'));
      const create = ['create', '--bundle', bundle, '--pid-file', path('init.pid'), '--no-new-keyring', 'c1'];
      using init = manage(path('init.pid'), bed.commandLine(...shim(...create)));
      await init.until('created 0\n');
      const started = await bed.call(shim('start', 'c1'));

      // exec: of the shim, of conmon, and of CRI-O, which waits for it.
      const files = ['--process', path('process.json')];
      using ofShim = exec('a.pid', ...files, '--detach', '--pid-file', path('a.pid'));
      using ofConmon = exec('b.pid', '--pid-file', path('b.pid'), ...files, '--detach');
      for (const child of [ofShim, ofConmon]) {
        await child.until('created 0\n');
        child.endInput();
      }
      const ofCrio = await bed.call(['exec', ...files, 'c1'], 'typed\n', XDG);

      const paused = [await bed.call(shim('pause', 'c1')), await direct('resume', 'c1')];
      const updated = [
        await bed.call(shim('update', '--resources=-', 'c1'), JSON.stringify(LIMITS)),
        await direct('update', `--resources=${path('resources.json')}`, 'c1'),
      ];
      const state = JSON.parse((await direct('state', 'c1')).stdout);
      const pids = JSON.parse((await bed.call(shim('ps', '--format', 'json', 'c1'))).stdout);
      const ended = [await ofShim.until('exited'), await ofConmon.until('exited')];
      const killed = await direct('kill', 'c1', 'SIGTERM');
      const exited = await init.until('exited');
      const late = [await bed.call(shim('kill', 'c1', '15')), await direct('kill', 'c1', 'SIGKILL')];
      const lastLine = JSON.parse(readFileSync(path('log'), 'utf8').trim().split('\n').at(-1) ?? '');
      await bed.call(shim('kill', '--all', 'c1', '9'));
      const deleted = [await bed.call(shim('delete', 'c1')), await direct('delete', '--force', 'c1')];

      expect(started).toEqual(DONE);
      expect(ofCrio).toEqual({ status: 43, stdout: 'typed\n', stderr: '' });
      expect(ended.every((text) => text.includes('exited 43\n'))).toBe(true);
      expect([...paused, ...updated, killed]).toEqual(Array(5).fill(DONE));
      expect(state).toMatchObject({ status: 'running', pid: Number(readFileSync(path('init.pid'), 'utf8')) });
      expect(pids).toContain(state.pid);
      expect(exited).toContain('exited 7\n');
      // What the shim and CRI-O look for.
      expect(lastLine).toMatchObject({
        level: 'error',
        msg: expect.stringMatching(bed.words('container not running')),
      });
      for (const { status, stderr } of late) {
        expect(status).not.toBe(0);
        expect(stderr).toMatch(bed.words('container not running'));
      }
      expect(deleted.map(({ status }) => status)).toEqual([0, 0]);
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
