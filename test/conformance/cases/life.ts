// runtime.md, "Lifecycle": ends and signals. The suite of the commands (test/oci) goes through the states.
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { containerConfig } from '../config.ts';
import { reportOf } from '../verify.ts';

const [SIGHUP, SIGKILL, SIGTERM] = [1, 9, 15];
const waits = containerConfig(['/bin/probe', 'await-signal'], {});

export const lifeCases: readonly Case[] = [
  ...([SIGTERM, SIGHUP] as const).map(
    (signal): Case => ({
      name: `signal ${signal} reaches the program`,
      field: 'kill',
      async scenario(engine) {
        const running = await engine.start(engine.place(), waits);
        // A process that entered sees when pid 1 catches it; before that, the kernel drops it.
        const process = { args: ['/bin/probe', 'sleep 200'], cwd: '/', user: { uid: 0, gid: 0 } };
        await running.exec(process);
        await running.kill(signal);
        const ended = await running.ended;
        await running.remove();
        expect({ ...ended, found: reportOf(ended) }).toMatchObject({ status: 0, found: { 'await-signal': signal } });
      },
    }),
  ),
  {
    name: 'SIGKILL from outside ends it with 137',
    field: 'kill',
    async scenario(engine) {
      const running = await engine.start(engine.place(), waits);
      await running.kill(SIGKILL);
      const { status } = await running.ended;
      await running.remove();
      expect(status).toBe(128 + SIGKILL);
    },
  },
  {
    name: 'its own processes cannot kill pid 1',
    field: 'kill',
    commands: ['fork kill 1 9', 'fork kill 1 15', 'kill 1 9', 'process'],
    finds: { 'fork kill 1 9': { 'kill 1 9': 'ok' }, process: { pid: 1 } },
  },
  {
    name: 'what pid 1 leaves behind ends with it',
    field: 'delete',
    async scenario(engine) {
      const place = engine.place();
      const mounts = [{ destination: '/volume', type: 'bind', source: place.inside.volume, options: ['bind'] }];
      const running = await engine.start(place, containerConfig(['/bin/probe', 'await-signal'], { mounts }));
      const process = { args: ['/bin/probe', 'await /volume/never'], cwd: '/', user: { uid: 0, gid: 0 } };
      const entered = running.exec(process);
      await running.exec({ ...process, args: ['/bin/probe', 'sleep 100'] });
      await running.kill(SIGKILL);
      await running.ended;
      expect((await entered).status).toBe(128 + SIGKILL);
      await running.remove();
    },
  },
];
