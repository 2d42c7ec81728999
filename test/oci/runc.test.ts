// The cases against runc itself, where the machine has it: they are right if it passes.
import { existsSync } from 'node:fs';
import { describe } from 'vitest';
import { describeRuntime } from './cases.ts';

const RUNC = process.env['RUNC'] ?? '/usr/sbin/runc';

describe.runIf(existsSync(RUNC))('the cases are right', () => {
  describeRuntime({ name: 'runc', command: [RUNC] }, { needsBuild: true });
});
