import { describe, expect, test } from 'vitest';
import * as abi from '../../linux/abi.gen.ts';
import { JsonObject } from './json.ts';
import { parseDevice, parseMount, parsePropagation } from './mounts.ts';

const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
const json = (value: object) => new JsonObject(value, 'x');
const parse = (mount: object, warnings: string[] = []) => parseMount(json({ destination: '/d', ...mount }), warnings);

describe('parseMount', () => {
  test.each([{ type: 'bind' }, { type: 'none', options: ['rbind'] }, { options: ['bind'] }])(
    'takes %j for a bind mount',
    (mount) => {
      expect(parse({ source: '/s', ...mount })).toMatchObject({ type: 'bind', source: '/s', idMap: undefined });
    },
  );

  test.each([
    [
      { source: '/s', options: ['bind', 'ridmap'] },
      { recursive: true, uidMappings: [], gidMappings: [] },
    ],
    [
      { type: 'bind', source: '/s', uidMappings: mapping, gidMappings: mapping },
      {
        recursive: false,
        uidMappings: [{ inner: 0, outer: 1000, size: 1 }],
        gidMappings: [{ inner: 0, outer: 1000, size: 1 }],
      },
    ],
  ])('reads id mappings: %j', (mount, idMap) => {
    expect(parse(mount).idMap).toEqual(idMap);
  });

  test.each([
    [{ type: 'bind' }, 'x.source is "", and a bind mount needs an absolute path'],
    [{ type: 'bind', source: 'relative' }, 'x.source is "relative"'],
    [{}, 'x.type is missing'],
    [{ type: 'tmpfs', options: ['idmap'] }, 'only bind mounts can be id-mapped'],
    [{ type: 'bind', source: '/s', gidMappings: mapping }, 'both uidMappings and gidMappings'],
  ])('refuses %j', (mount, words) => {
    expect(() => parse(mount)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(words) }),
    );
  });

  test.each([{ options: ['remount', 'ro'] }, { options: ['bind', 'remount', 'ro'] }])(
    'needs no source and no type to change a mount: %j',
    (mount) => {
      expect(() => parse(mount)).not.toThrow();
    },
  );

  test('tells of options that have no effect', () => {
    const warnings: string[] = [];

    parse({ source: '/s', options: ['bind', 'size=1m', 'z'] }, warnings);
    parse({ type: 'proc', options: ['tmpcopyup'] }, warnings);

    expect(warnings).toEqual([
      'x.options: size=1m,z has no effect on a bind mount',
      'x.options: tmpcopyup has no effect on what is no tmpfs',
    ]);
  });
});

describe('parsePropagation', () => {
  test('tells nothing said from private', () => {
    expect(parsePropagation(undefined)).toBe(0);
    expect(parsePropagation(json({ rootfsPropagation: 'rprivate' }))).toBe(abi.MS_PRIVATE | abi.MS_REC);
    expect(() => parsePropagation(json({ rootfsPropagation: 'constructor' }))).toThrow('linux.rootfsPropagation');
  });
});

describe('parseDevice', () => {
  test('takes type bits out of the mode, and needs no numbers for a fifo', () => {
    expect(parseDevice(json({ path: '/dev/p', type: 'p', fileMode: 0o010644 }))).toMatchObject({
      type: abi.S_IFIFO,
      mode: 0o644,
      major: 0,
    });
  });
});
