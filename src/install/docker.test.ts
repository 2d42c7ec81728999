import { describe, expect, test } from 'vitest';
import { docker } from './docker.ts';
import { PROGRAM, setup, throughLife } from './testing/files.ts';

const install = (text?: string): string | undefined => docker.install({ path: '/d.json', text }, setup()).text;
const uninstall = (text: string): string | undefined => docker.uninstall({ path: '/d.json', text }, setup()).text;

describe('docker', () => {
  test('makes daemon.json, once, and removes it', () => {
    const [once, twice, after] = throughLife(docker, undefined);

    expect(JSON.parse(once ?? '')).toEqual({ runtimes: { tskata: { path: PROGRAM } } });
    expect([twice, after]).toEqual([once, undefined]);
  });

  test.each([
    '{\n  "log-driver": "local",\n  "runtimes": {\n    "runsc": { "path": "/r" }\n  },\n  "bip": "10.0.0.1/24"\n}\n',
    '{"debug":true}',
    '{}\n',
  ])('adds to %j, once, and makes it what it was', (before) => {
    const [once, twice, after] = throughLife(docker, before);

    expect(JSON.parse(once ?? '')).toMatchObject({ ...JSON.parse(before), runtimes: { tskata: { path: PROGRAM } } });
    expect([twice, after]).toEqual([once, before]);
  });

  test('corrects the path of a runtime that is there, and keeps its arguments', () => {
    const text = install('{"runtimes": {"tskata": {"path": "/old", "runtimeArgs": ["--debug"]}}}');

    expect(text).toBe(`{"runtimes": {"tskata": {"path": "${PROGRAM}", "runtimeArgs": ["--debug"]}}}`);
  });

  test.each([
    ['{\n  "a": 1,\n}', /^\/d\.json is not JSON: .*line 3/],
    ['[]', /^\/d\.json is not an object/],
    ['{"runtimes": []}', /^\/d\.json: runtimes is not an object/],
    ['{"runtimes": {"tskata": "x"}}', /^\/d\.json: runtimes\.tskata is not an object/],
  ])('refuses %j and says where', (text, message) => {
    expect(() => install(text)).toThrow(message);
    expect(() => uninstall(text)).toThrow(message);
  });

  test('is not uninstalled while it is the default', () => {
    const text = '{"default-runtime": "tskata", "runtimes": {"tskata": {"path": "/t"}}}';

    expect(() => uninstall(text)).toThrow(/default-runtime is tskata.*take that line out first/);
  });
});
