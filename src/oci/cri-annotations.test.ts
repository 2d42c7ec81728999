import { describe, expect, test } from 'vitest';
import { podMembership } from './cri-annotations.ts';

const CONTAINERD = 'io.kubernetes.cri';
const CRIO = 'io.kubernetes.cri-o';

describe('podMembership', () => {
  test.each([
    ['containerd', { [`${CONTAINERD}.container-type`]: 'container', [`${CONTAINERD}.sandbox-id`]: 'pod' }, false],
    ['CRI-O', { [`${CRIO}.ContainerType`]: 'container', [`${CRIO}.SandboxID`]: 'pod' }, false],
    ['our own annotation', { 'io.tskata.sandbox-id': 'pod' }, false],
    ['podman', { 'io.container.manager': 'libpod', [`${CRIO}.SandboxID`]: 'pod' }, true],
  ])('finds the sandbox where %s names it', (_, annotations, isOptional) => {
    expect(podMembership('c1', annotations)).toMatchObject({ sandboxId: 'pod', isOptional });
  });

  test.each([
    ['no annotations', undefined],
    ["containerd's sandbox", { [`${CONTAINERD}.container-type`]: 'sandbox', [`${CONTAINERD}.sandbox-id`]: 'c1' }],
    ["CRI-O's sandbox", { [`${CRIO}.ContainerType`]: 'sandbox', [`${CRIO}.SandboxID`]: 'c1' }],
    [
      "CRI-O's sandbox that names another as containerd's",
      {
        [`${CRIO}.ContainerType`]: 'sandbox',
        [`${CRIO}.SandboxID`]: 'c1',
        [`${CONTAINERD}.container-type`]: 'container',
        [`${CONTAINERD}.sandbox-id`]: 'victim',
      },
    ],
    ['itself', { 'io.tskata.sandbox-id': 'c1' }],
    ['an engine that does not say what the container is', { [`${CRIO}.SandboxID`]: 'pod' }],
  ])('gives a VM of its own to a container with %s', (_, annotations) => {
    expect(podMembership('c1', annotations)).toBeUndefined();
  });

  test.each([`${CONTAINERD}.container-type`, `${CRIO}.ContainerType`])(
    'refuses a place in the VM of another pod, asked for in one with %s',
    (type) => {
      const membership = () => podMembership('c1', { [type]: 'sandbox', 'io.tskata.sandbox-id': 'victim' });

      expect(membership).toThrow('annotations["io.tskata.sandbox-id"] in config.json is "victim"');
    },
  );

  test('refuses a member of no pod', () => {
    const membership = () => podMembership('c1', { [`${CONTAINERD}.container-type`]: 'container' });

    expect(membership).toThrow('annotations["io.kubernetes.cri.sandbox-id"] in config.json is missing');
  });
});
