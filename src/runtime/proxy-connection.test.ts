import { expect, test } from 'vitest';
import { type ProxyLine, parseProxyLine } from './proxy-connection.ts';

test.each<[string, ProxyLine]>([
  ['ATTACH abc 12', { kind: 'attach', token: 'abc', pid: 12 }],
  ['ATTACH abc', { kind: 'unknown', line: 'ATTACH abc' }],
  ['SIGNAL 34', { kind: 'signal', signal: 34 }],
  ['RESIZE 24 80', { kind: 'resize', rows: 24, columns: 80 }],
  ['OUTPUT 1234567890123456789', { kind: 'output', monotonicNs: 1234567890123456789n }],
  ['SIGNAL', { kind: 'unknown', line: 'SIGNAL' }],
  ['SIGNAL -9', { kind: 'unknown', line: 'SIGNAL -9' }],
  ['RESIZE 24', { kind: 'unknown', line: 'RESIZE 24' }],
  ['', { kind: 'unknown', line: '' }],
])('%j is read', (line, expected) => {
  expect(parseProxyLine(line)).toEqual(expected);
});
