// config.md, "POSIX-platform Hooks": those that run in the container's namespaces. The suite of the commands has the others.

import { expect } from 'vitest';
import type { Case } from '../case.ts';

const volume = (source: string) => ({ destination: '/volume', type: 'bind', source, options: ['bind'] });

export const hookCases: readonly Case[] = [
  {
    name: 'startContainer runs in the container, before its program, with the state on its input',
    field: 'hooks.startContainer',
    config: {
      hooks: {
        startContainer: [
          {
            path: '/bin/probe',
            args: ['hook', 'to /run/first', 'args', 'env', 'input', 'process', 'names', 'ls /'],
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
          args: ['hook', 'to /run/first', 'args', 'env', 'input', 'process', 'names', 'ls /'],
          env: ['A=b'],
          input: expect.toSatisfy((state: string) => {
            expect(JSON.parse(state)).toMatchObject({
              ociVersion: expect.any(String),
              id: expect.any(String),
              status: 'created',
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
    config: ({ inside }) => ({
      hooks: {
        createContainer: [
          {
            path: `${inside.rootfs}/bin/probe`,
            args: ['hook', `to ${inside.volume}/report`, 'input', 'namespaces', 'names'],
          },
        ],
      },
      mounts: [volume(inside.volume)],
    }),
    commands: ['read /volume/report', 'names'],
    finds: {
      'read /volume/report': expect.toSatisfy((text: string) => {
        expect(JSON.parse(text)).toMatchObject({
          input: expect.stringContaining('"ociVersion"'),
          names: { hostname: 'box' },
        });
        return true;
      }),
      names: { hostname: 'box' },
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
