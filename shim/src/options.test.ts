import { expect, test } from 'vitest';
import { type Any, CreateTaskRequest, RuncOptions } from '../../src/protocol/containerd.gen.ts';
import { completeCreate } from './options.ts';

const PROGRAM = '/opt/tskata/bin/tskata';
const RUNC = 'containerd.runc.v1.Options';
const config = (cgroupsPath: string) => () => JSON.stringify({ linux: { cgroupsPath } });

/** A field that this project gives no name: 99, a varint of 7. */
const UNKNOWN = Uint8Array.of(0x98, 0x06, 0x07);

function create(options?: Any): Uint8Array {
  return new Uint8Array([...CreateTaskRequest.encode({ id: 'c1', bundle: '/b', options }), ...UNKNOWN]);
}

function optionsIn(request: Uint8Array): { typeUrl: string; value: RuncOptions } {
  const { typeUrl = '', value = new Uint8Array(0) } = CreateTaskRequest.decode(request).options ?? {};
  return { typeUrl, value: RuncOptions.decode(value) };
}

test('names our runtime and its folder where nothing is said', () => {
  const { id, root, request } = completeCreate(create(), PROGRAM, config('/docker/c1'));

  expect({ id, root }).toEqual({ id: 'c1', root: '/run/containerd/tskata' });
  expect(optionsIn(request)).toEqual({
    typeUrl: RUNC,
    value: { binaryName: PROGRAM, root: '/run/containerd/tskata', systemdCgroup: false },
  });
});

test('keeps all that it does not know, in the request and in its options', () => {
  const value = new Uint8Array([
    ...RuncOptions.encode({ binaryName: '', root: '/r', systemdCgroup: false }),
    ...UNKNOWN,
  ]);

  const { request } = completeCreate(create({ typeUrl: RUNC, value }), PROGRAM, config(''));

  const text = Buffer.from(request).toString('latin1');
  expect(text.split(Buffer.from(UNKNOWN).toString('latin1')).length - 1).toBe(3);
  expect(CreateTaskRequest.decode(request)).toMatchObject({ id: 'c1', bundle: '/b' });
});

test.each([
  ['a runtime', { binaryName: '/other', root: '', systemdCgroup: false }, { binaryName: '/other' }],
  ['a folder', { binaryName: '', root: '/r', systemdCgroup: false }, { binaryName: PROGRAM, root: '/r' }],
  ['the driver', { binaryName: '', root: '', systemdCgroup: true }, { binaryName: PROGRAM, systemdCgroup: true }],
])('lets options for runc name %s', (_what, given, expected) => {
  const options = { typeUrl: RUNC, value: RuncOptions.encode(given) };

  const { request, root } = completeCreate(create(options), PROGRAM, config(''));

  expect(optionsIn(request).value).toMatchObject(expected);
  expect(root).toBe(optionsIn(request).value.root);
});

test('does without options of a type that containerd-shim-runc-v2 does not understand', () => {
  const value = RuncOptions.encode({ binaryName: '/other', root: '/r', systemdCgroup: true });

  const { request } = completeCreate(create({ typeUrl: 'runtimeoptions.v1.Options', value }), PROGRAM, config(''));

  expect(optionsIn(request)).toMatchObject({ typeUrl: RUNC, value: { binaryName: PROGRAM, systemdCgroup: false } });
});

test.each([
  ['system.slice:docker:c1', true],
  [':cri-containerd:c1', true],
  ['kubepods-burstable-pod1.slice:cri-containerd:c1', true],
  ['/docker/c1', false],
  ['/a:b:c', false],
  ['a:b', false],
  ['', false],
])('knows by cgroupsPath %j whether systemd is meant', (path, expected) => {
  const { request } = completeCreate(create(), PROGRAM, config(path));

  expect(optionsIn(request).value.systemdCgroup).toBe(expected);
});

test.each([
  ['is no JSON', () => '{'],
  [
    'is not there',
    () => {
      throw new Error('ENOENT');
    },
  ],
])('leaves it to the runtime to say that config.json %s', (_what, readConfig) => {
  expect(optionsIn(completeCreate(create(), PROGRAM, readConfig).request).value.systemdCgroup).toBe(false);
});
