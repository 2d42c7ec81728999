import { expect, test } from 'vitest';
import { parseHooks } from './hooks.ts';
import { JsonObject } from './json.ts';

const parse = (hooks: unknown, warnings: string[] = []) => parseHooks(new JsonObject({ hooks }, ''), warnings);

test('a hook goes by its path where it has no arguments', () => {
  const { createContainer } = parse({ createContainer: [{ path: '/h' }] });
  expect(createContainer).toEqual([{ path: '/h', args: ['/h'], env: [], timeoutSeconds: undefined }]);
});

test('a hook has what it is given', () => {
  const hook = { path: '/h', args: ['name', 'x'], env: ['A=b'], timeout: 5 };
  expect(parse({ startContainer: [hook] }).startContainer).toEqual([
    { path: '/h', args: ['name', 'x'], env: ['A=b'], timeoutSeconds: 5 },
  ]);
});

test.each([undefined, null, {}, { createContainer: null, startContainer: [] }])('%j is no hooks', (hooks) => {
  expect(parse(hooks)).toEqual({ createContainer: [], startContainer: [] });
});

test('hooks of the host are warned of', () => {
  const warnings: string[] = [];
  parse({ prestart: [{ path: '/h' }], poststop: [] }, warnings);
  expect(warnings).toEqual(["hooks.prestart is not applied: it is the runtime's, on the host"]);
});

test.each([
  [{ path: 'relative' }, 'hooks.createContainer[0].path'],
  [{}, 'hooks.createContainer[0].path'],
  [{ path: '/h', timeout: 0 }, 'hooks.createContainer[0].timeout'],
  [{ path: '/h', env: ['A\0'] }, 'hooks.createContainer[0].env[0]'],
])('%j is refused with its place', (hook, place) => {
  expect(() => parse({ createContainer: [hook] })).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(place) }),
  );
});
