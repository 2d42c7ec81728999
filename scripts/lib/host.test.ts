import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { choiceFromCheck, describeHost, folderInside, hostEnvironment } from './host.ts';
import { qemuCommand } from './host-machine.ts';
import { projectDirectory } from './paths.ts';

describe('the choice of the host', () => {
  test('is this machine when tsvm finds its KVM able', () => {
    const choice = choiceFromCheck('{"verdict":"ok","reason":"a probe guest ran"}');
    expect(choice).toEqual({ kind: 'native', reason: 'a probe guest ran' });
    expect(describeHost(choice)).toBe('running on this machine: a probe guest ran');
  });

  test.each(['no-kvm', 'no-permission', 'cannot-run-linux'])('is the emulated host when tsvm says %s', (verdict) => {
    expect(choiceFromCheck(JSON.stringify({ verdict, reason: 'why' }))).toEqual({ kind: 'emulated', reason: 'why' });
  });

  test.each(['', 'null', 'no JSON'])('is the emulated host when tsvm answers %j', (output) => {
    expect(choiceFromCheck(output).kind).toBe('emulated');
  });
});

describe('a command on the host', () => {
  test('runs in the folder it was called in when that is in the project', () => {
    expect(folderInside(join(projectDirectory, 'src'))).toBe(join(projectDirectory, 'src'));
    expect(folderInside(projectDirectory)).toBe(projectDirectory);
  });

  test('runs in the project when it was called elsewhere', () => {
    expect(folderInside('/')).toBe(projectDirectory);
    expect(folderInside(`${projectDirectory}-other`)).toBe(projectDirectory);
  });

  test('gets the variables that matter anywhere, and no others', () => {
    const inside = hostEnvironment({ TERM: 'xterm', TSKATA_LOG: 'debug', SECRET: 'x', PATH: '/mine', HOME: '/me' });
    expect(inside).toMatchObject({ TERM: 'xterm', TSKATA_LOG: 'debug', TSKATA_INSIDE_HOST: '1', HOME: '/root' });
    expect(inside).not.toHaveProperty('SECRET');
    expect(inside['PATH']).not.toContain('/mine');
  });
});

test('QEMU shares its memory with the daemons of the shares, and emulates AMD-V', () => {
  const image = { kernel: '/k', initrd: '/i', root: '/r' };
  const command = qemuCommand(image, { memoryMib: 2048, cpus: 3 }, new Map([['project', '/s']]));
  const memory = 'memory-backend-memfd,id=memory,size=2048M,share=on';
  const parts = [memory, 'socket,id=share-project,path=/s', 'vhost-user-fs-pci,chardev=share-project,tag=project'];
  expect(command).toEqual(expect.arrayContaining(parts));
  expect(command[command.indexOf('-cpu') + 1]).toContain('+svm');
  expect(command[command.indexOf('-smp') + 1]).toBe('3');
});
