import { expect, test } from 'vitest';
import { checkInstallation, findInstallation } from './installation.ts';

test('parts are named by absolute path, in the build folder when run from the sources', () => {
  const { node, proxy } = findInstallation();

  expect(node).toBe(process.execPath);
  expect(proxy).toMatch(/^\/.*\/build\/lib\/tskata-proxy$/);
});

test('a missing part is named, and what to do', () => {
  const there = process.execPath;
  const installation = { node: there, sandboxProgram: there, proxy: there, kernel: '/nonexistent', initramfs: there };

  expect(() => checkInstallation(installation)).toThrow(
    'this installation is incomplete: its kernel is not at /nonexistent; build it with: npm run build',
  );
});
