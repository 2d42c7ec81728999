import { describe, expect, test } from 'vitest';
import { ConfigError } from './check.ts';
import type { Config } from './config.ts';
import { defaultConfig } from './default-config.ts';
import { validateConfig } from './validate.ts';

/** The default configuration with one part exchanged. */
function withPart(part: Readonly<Record<string, unknown>>): unknown {
  return { ...defaultConfig(), ...part };
}

function withProcess(part: Readonly<Record<string, unknown>>): unknown {
  return withPart({ process: { ...defaultConfig().process, ...part } });
}

describe('validateConfig', () => {
  test('takes what spec writes', () => {
    expect(() => validateConfig(JSON.parse(JSON.stringify(defaultConfig())))).not.toThrow();
  });

  test('keeps what it does not know', () => {
    const config = validateConfig(withPart({ somebodyElse: { x: 1 } }));

    expect(config).toHaveProperty('somebodyElse.x', 1);
  });

  test.each<[string, unknown, string]>([
    ['no object', [], 'the whole in config.json is []; allowed is an object'],
    [
      'no version',
      withPart({ ociVersion: undefined }),
      'ociVersion in config.json is missing; allowed is a version 1.y.z',
    ],
    ['another major version', withPart({ ociVersion: '2.0.0' }), 'ociVersion in config.json is "2.0.0"'],
    ['no process', withPart({ process: undefined }), 'process in config.json is missing; allowed is an object'],
    ['no arguments', withProcess({ args: [] }), 'process.args in config.json is []; allowed is a list of at least 1'],
    [
      'a relative folder',
      withProcess({ cwd: 'tmp' }),
      'process.cwd in config.json is "tmp"; allowed is an absolute path',
    ],
    ['a NUL in a variable', withProcess({ env: ['A=1', 'B=\0'] }), 'process.env[1] in config.json is "B=\\u0000"'],
    ['a user below zero', withProcess({ user: { uid: -1, gid: 0 } }), 'process.user.uid in config.json is -1'],
    ['no root path', withPart({ root: {} }), 'root.path in config.json is missing'],
    ['a mount to nowhere', withPart({ mounts: [{}] }), 'mounts[0].destination in config.json is missing'],
    [
      'a namespace that is none',
      withPart({ linux: { namespaces: [{ type: 'pid' }, { type: 'moon' }] } }),
      'linux.namespaces[1].type in config.json is "moon"; allowed is one of pid, network',
    ],
    [
      'a limit twice',
      withProcess({
        rlimits: [
          { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
          { type: 'RLIMIT_CORE', soft: 1, hard: 1 },
        ],
      }),
      'process.rlimits[1].type in config.json is "RLIMIT_CORE"; allowed is each type once',
    ],
    [
      'a scheduler without policy',
      withProcess({ scheduler: {} }),
      'process.scheduler.policy in config.json is missing',
    ],
    [
      'a time that is no number',
      withProcess({ scheduler: { policy: 'SCHED_DEADLINE', runtime: '1ms' } }),
      'process.scheduler.runtime in config.json is "1ms"; allowed is a whole number from 0',
    ],
    [
      'an I/O priority without class',
      withProcess({ ioPriority: { priority: 1 } }),
      'process.ioPriority.class in config.json',
    ],
    [
      'processors that are no list of them',
      withProcess({ execCPUAffinity: { final: 3 } }),
      'process.execCPUAffinity.final in config.json is 3; allowed is a string',
    ],
    [
      'a personality without domain',
      withPart({ linux: { personality: {} } }),
      'linux.personality.domain in config.json',
    ],
    [
      'a namespace twice',
      withPart({ linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }),
      'linux.namespaces[1].type in config.json is "pid"; allowed is each type once',
    ],
    [
      'a mapping of nothing',
      withPart({ linux: { uidMappings: [{ containerID: 0, hostID: 0, size: 0 }] } }),
      'linux.uidMappings[0].size in config.json is 0; allowed is a whole number from 1 to 4294967295',
    ],
    [
      'an offset of a second too many',
      withPart({ linux: { timeOffsets: { monotonic: { secs: 1, nanosecs: 1_000_000_000 } } } }),
      'linux.timeOffsets.monotonic.nanosecs in config.json is 1000000000',
    ],
    [
      'a hook without a time',
      withPart({ hooks: { prestart: [{ path: '/h', timeout: 0 }] } }),
      'hooks.prestart[0].timeout in config.json is 0',
    ],
  ])('refuses %s, by path', (_, config, message) => {
    expect(() => validateConfig(config)).toThrow(ConfigError);
    expect(() => validateConfig(config)).toThrow(message);
  });

  test('takes the lists that Go writes as null', () => {
    const config: Config = validateConfig(withPart({ mounts: null, hooks: { prestart: null } }));

    expect(config.mounts).toBeNull();
  });
});
