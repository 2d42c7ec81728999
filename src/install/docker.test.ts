import { describe, expect, test } from 'vitest';
import { docker } from './docker.ts';
import { PROGRAM, SHIM, setup, throughLife } from './testing/files.ts';

const install = (text?: string): string | undefined => docker.install({ path: '/d.json', text }, setup()).text;
const withShim = (version?: string): ReturnType<typeof setup> => setup({}, version, SHIM);
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

  test.each(['Docker version 24.0.0, build 98fdcd7', 'Docker version 26.1.5+dfsg1, build a72d7cd'])(
    'names the shim, once, to %s',
    (version) => {
      const before = '{"debug":true}';
      const [once, twice, after] = throughLife(docker, before, withShim(version));

      expect(JSON.parse(once ?? '').runtimes.tskata).toEqual({ runtimeType: SHIM.path });
      expect([twice, after]).toEqual([once, before]);
    },
  );

  test.each([
    ['Docker version 23.0.6, build 9dbdbd4', /^dockerd 23\.0\.6 takes no shim, 24\.0 does: .* statistics/],
    ['Docker version 20.10.24+dfsg1, build 297e128', /^dockerd 20\.10\.24 takes no shim/],
    ['nonsense', /^dockerd takes a shim since 24\.0, and its version is not known here: .* statistics/],
    [undefined, /version is not known here/],
  ])('names the program to %s, and says what that means', (version, warning) => {
    const { text, warnings } = docker.install({ path: '/d.json', text: undefined }, withShim(version));

    expect(JSON.parse(text ?? '').runtimes.tskata).toEqual({ path: PROGRAM });
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  describe('replaces an entry of the other form as a whole', () => {
    const other =
      '{"runtimes": {"x": {"path": "/x"}, "tskata": {"path": "/t", "runtimeArgs": ["--debug"]}}, "bip": ""}';

    test('and says what is lost, once', () => {
      const given = withShim('Docker version 26.1.5');
      const once = docker.install({ path: '/d.json', text: other }, given);
      const twice = docker.install({ path: '/d.json', text: once.text }, given);

      expect(JSON.parse(once.text ?? '')).toEqual({
        runtimes: { x: { path: '/x' }, tskata: { runtimeType: SHIM.path } },
        bip: '',
      });
      expect(once.warnings).toEqual([expect.stringMatching(/^\/d\.json: runtimeArgs of tskata are gone.*--no-shim/)]);
      expect(twice).toEqual({ text: once.text, warnings: [] });
    });

    test('and back', () => {
      const text = `{"runtimes": {"tskata": {"runtimeType": "${SHIM.path}", "options": {"Debug": true}}}}`;

      const { text: after, warnings } = docker.install({ path: '/d.json', text }, setup());

      expect(JSON.parse(after ?? '')).toEqual({ runtimes: { tskata: { path: PROGRAM } } });
      expect(warnings).toEqual([expect.stringMatching(/^\/d\.json: options of tskata are gone/)]);
    });

    test('so that uninstall makes the file what it was', () => {
      const before = '{\n\t"debug": true\n}\n';
      const { text } = docker.install({ path: '/d.json', text: install(before) }, withShim('Docker version 26.1.5'));

      expect(JSON.parse(text ?? '').runtimes).toEqual({ tskata: { runtimeType: SHIM.path } });
      expect(uninstall(text ?? '')).toBe(before);
    });

    test('in a file that has nothing else', () => {
      const { text, warnings } = docker.install(
        { path: '/d.json', text: install() },
        withShim('Docker version 26.1.5'),
      );

      expect([text, warnings]).toEqual([
        install()?.replace(`"path": "${PROGRAM}"`, `"runtimeType": "${SHIM.path}"`),
        [],
      ]);
    });
  });

  test('corrects the path of the shim, and keeps its options', () => {
    const text = '{"runtimes": {"tskata": {"runtimeType": "/old", "options": {"Debug": true}}}}';

    const { text: after } = docker.install({ path: '/d.json', text }, withShim('Docker version 26.1.5'));

    expect(after).toBe(text.replace('/old', SHIM.path));
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
