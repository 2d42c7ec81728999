// config.md, "POSIX-platform Hooks": those that run in the container's namespaces. The suite of the commands has the others.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

import type { Case } from '../case.ts';
import { containerConfig } from '../config.ts';
import { reportOf } from '../verify.ts';

/** Of open descriptors, by number. */
const ONLY_STREAMS = expect.toSatisfy((found: object) => Object.keys(found).sort().join() === '0,1,2');

type Ids = Readonly<Record<string, string>>;

export const hookCases: readonly Case[] = [
  {
    name: 'startContainer runs in the container, before its program, with the state on its input',
    field: 'hooks.startContainer',
    config: {
      hooks: {
        startContainer: [
          {
            path: '/bin/probe',
            args: ['hook', 'to /run/first', 'args', 'env', 'input', 'process', 'names', 'ls /', 'descriptors'],
            env: ['A=b'],
          },
          { path: '/bin/probe', args: ['hook', 'to /run/second', 'stat /run/first'] },
        ],
      },
    },
    commands: ['read /run/first', 'read /run/second'],
    finds: {
      'read /run/first': expect.toSatisfy((text: string) => {
        expect(JSON.parse(text)).toMatchObject({
          args: expect.arrayContaining(['hook', 'to /run/first']),
          env: ['A=b'],
          descriptors: ONLY_STREAMS,
          input: expect.toSatisfy((state: string) => {
            expect(JSON.parse(state)).toMatchObject({
              ociVersion: expect.any(String),
              id: expect.any(String),
              status: expect.stringMatching(/^(created|starting)$/),
              pid: expect.any(Number),
              bundle: expect.any(String),
            });
            return true;
          }),
          names: { hostname: 'box' },
          'ls /': ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'],
        });
        return true;
      }),
      'read /run/second': expect.stringContaining('"type": "file"'),
    },
  },
  {
    name: 'createContainer runs in the container’s namespaces, with the programs of the outside',
    field: 'hooks.createContainer',
    async scenario(engine) {
      const place = engine.place();
      const { rootfs, volume } = place.inside;
      const args = ['hook', `to ${volume}/report`, 'input', 'namespaces'];
      const hooks = { createContainer: [{ path: `${rootfs}/bin/probe`, args }] };
      const ended = await engine.run(place, containerConfig(['/bin/probe', 'namespaces'], { hooks }));
      const report = JSON.parse(readFileSync(join(place.volume, 'report'), 'utf8')) as {
        input: string;
        namespaces: Ids;
      };
      const own = (reportOf(ended) as { namespaces: Ids }).namespaces;
      expect(JSON.parse(report.input)).toMatchObject({
        ociVersion: expect.any(String),
        status: expect.stringMatching(/^creat/),
      });
      for (const kind of ['mnt', 'uts', 'ipc', 'net']) expect(report.namespaces[kind]).toBe(own[kind]);
    },
  },
  {
    name: 'a startContainer that fails is the end of the container',
    field: 'hooks.startContainer',
    config: { hooks: { startContainer: [{ path: '/bin/probe', args: ['hook', 'exit 3'] }] } },
    commands: ['cwd'],
    refused: /hook/i,
  },
  {
    name: 'a createContainer that fails is the end of the container',
    field: 'hooks.createContainer',
    config: ({ inside }) => ({
      hooks: { createContainer: [{ path: `${inside.rootfs}/bin/probe`, args: ['hook', 'exit 3'] }] },
    }),
    commands: ['cwd'],
    refused: /hook/i,
  },
  {
    name: 'a program that is not there is told of',
    field: 'hooks.startContainer.path',
    config: { hooks: { startContainer: [{ path: '/nosuch' }] } },
    commands: ['cwd'],
    refused: /nosuch|hook/,
  },
  {
    name: 'one that takes longer than it may is ended',
    field: 'hooks.startContainer.timeout',
    config: { hooks: { startContainer: [{ path: '/bin/probe', args: ['hook', 'sleep 60000'], timeout: 1 }] } },
    commands: ['cwd'],
    refused: /hook|time/i,
  },
];
