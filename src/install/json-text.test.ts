import { describe, expect, test } from 'vitest';
import { withMember, withoutMember } from './json-text.ts';

const PATH = ['runtimes', 'tskata'] as const;
const VALUE = { path: '/bin/t' };

describe('withMember', () => {
  test.each([
    [
      'an object in lines',
      '{\n    "a": 1\n}\n',
      '{\n    "a": 1,\n    "runtimes": {\n        "tskata": {\n            "path": "/bin/t"\n        }\n    }\n}\n',
    ],
    [
      'tabs',
      '{\n\t"runtimes": {\n\t\t"x": {}\n\t}\n}',
      '{\n\t"runtimes": {\n\t\t"x": {},\n\t\t"tskata": {\n\t\t\t"path": "/bin/t"\n\t\t}\n\t}\n}',
    ],
    ['one line', '{"runtimes": {"x": {}}, "b": 2}', '{"runtimes": {"x": {},"tskata": {"path":"/bin/t"}}, "b": 2}'],
    ['an empty object', '{"runtimes": { }}', '{"runtimes": {"tskata": {"path":"/bin/t"} }}'],
    ['a value that is there', '{"runtimes": {"tskata": 5}}', '{"runtimes": {"tskata": {"path":"/bin/t"}}}'],
    [
      'names with braces and quotes in texts',
      '{"a": "}\\"{", "runtimes": {"]": [{"x": "["}]}}',
      '{"a": "}\\"{", "runtimes": {"]": [{"x": "["}],"tskata": {"path":"/bin/t"}}}',
    ],
  ])('adds to %s and leaves the rest as it is', (_name, before, after) => {
    expect(withMember(before, PATH, VALUE)).toBe(after);
  });

  test.each([
    '{}',
    '{ }\n',
    '{\n}\n',
    '{"a":[1,{"b":"}"}]}',
    '{\r\n  "a": 1\r\n}\r\n',
    '{"runtimes":{}}',
    '{\n  "runtimes": {\n  },\n  "z": 1\n}',
  ])('makes JSON of %j, and withoutMember makes it what it was', (before) => {
    const after = withMember(before, PATH, VALUE);

    expect(JSON.parse(after).runtimes.tskata).toEqual(VALUE);
    expect(withoutMember(after, PATH)).toBe(before);
  });
});

describe('withoutMember', () => {
  test('takes out the first of several', () => {
    expect(withoutMember('{"runtimes": {"tskata": {}, "x": {}}}', PATH)).toBe('{"runtimes": {"x": {}}}');
  });

  test('leaves nothing of objects that were made for it', () => {
    expect(withoutMember('{\n  "runtimes": {\n    "tskata": {}\n  }\n}\n', PATH)).toBeUndefined();
  });

  test.each(['{}', '{"runtimes": 5}', '{"runtimes": {"x": {}}}'])('leaves %j, which has none', (text) => {
    expect(withoutMember(text, PATH)).toBe(text);
  });
});
