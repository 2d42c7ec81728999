// The test projects. `npm test` builds what they need and runs them all; ARCHITECTURE.md tells which is for what.
import { defineConfig } from 'vitest/config';

const OTHER_KINDS = ['**/*.property.test.ts', '**/*.kvm.test.ts'];
const PLACES = [
  'src',
  'guest-agent',
  'shim',
  'native',
  'scripts',
  'kernel-config',
  'images',
  'test/support',
  'test/hostile',
];
const in_ = (pattern: string): string[] => PLACES.map((place) => `${place}/**/${pattern}`);

/** Not 0: on a machine of two processors Vitest would run them after all others. */
const FIRST = { sequence: { groupOrder: 1 } };
/** After all that can run beside each other. */
const ONE_BY_ONE = { fileParallelism: false, sequence: { groupOrder: 2 } };
/** Guest tests wait for hosts that work meanwhile: see test/support/guest-setup.ts. */
const LAST = { fileParallelism: false, sequence: { groupOrder: 3 } };

/** In the emulated host, and where this machine's KVM can run Linux, guest tests run directly. */
const insideHost = process.env['TSKATA_INSIDE_HOST'] === '1';

export default defineConfig({
  cacheDir: 'build/vitest',
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [...in_('*.test.ts'), 'test/architecture.test.ts'],
          exclude: OTHER_KINDS,
          // Some start programs, beside hosts that keep the machine busy.
          testTimeout: 20_000,
          ...FIRST,
        },
      },
      {
        extends: true,
        test: { name: 'property', include: in_('*.property.test.ts'), testTimeout: 60_000, ...FIRST },
      },
      {
        extends: true,
        test: { name: 'kvm', include: in_('*.kvm.test.ts'), testTimeout: 60_000, ...ONE_BY_ONE },
      },
      {
        extends: true,
        test: {
          name: 'oci',
          include: ['test/oci/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...ONE_BY_ONE,
        },
      },
      {
        extends: true,
        test: { name: 'agent', include: ['test/{agent,shim}/**/*.test.ts'], testTimeout: 60_000, ...ONE_BY_ONE },
      },
      {
        extends: true,
        test: {
          name: 'testbed',
          include: ['test/testbed/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          ...ONE_BY_ONE,
        },
      },
      {
        extends: true,
        test: {
          name: 'guest',
          include: ['test/guest/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          ...LAST,
          isolate: false, // a worker for each file costs seconds under emulation
          // Emulated processors have lost a VM before. The reporter tells of every second try.
          ...(insideHost
            ? { retry: 1 }
            : { globalSetup: './test/support/guest-setup.ts', runner: './test/support/guest-runner.ts' }),
        },
      },
    ],
  },
});
