// The cases of test/oci against runc, which shows that they are right, and against crun, but for what the two are known to do
// otherwise (test/oci/differences.ts).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe } from 'vitest';
import { SealedRunc } from '../conformance/sealed-runc.ts';
import { describeCgroups } from '../oci/cgroup-cases.ts';
import { describeCommandLines } from '../oci/command-line-cases.ts';
import { CRUN_WORDS } from '../oci/crun-words.ts';
import { describeCases } from '../oci/describe-cases.ts';
import { describeNamespaces } from '../oci/namespace-cases.ts';
import { SUITES } from '../oci/suites.ts';

const whereIs = (name: string): string | undefined =>
  ['/usr/sbin', '/usr/bin'].map((folder) => join(folder, name)).find((path) => existsSync(path));
const [RUNC, CRUN] = [whereIs('runc'), whereIs('crun')];

describe.skipIf(RUNC === undefined)('for comparison', () => {
  let command = [String(RUNC)];
  beforeAll(() => {
    const sealed = new SealedRunc(String(RUNC), '/run');
    command = [sealed.program];
    return () => sealed[Symbol.dispose]();
  });
  const runc = {
    name: 'runc',
    get command() {
      return command;
    },
  };
  describeCases(runc, [...SUITES, describeCommandLines, describeNamespaces, describeCgroups]);
});

describe.skipIf(CRUN === undefined)('for comparison', () => {
  describeCases({ name: 'crun', command: [String(CRUN)], words: CRUN_WORDS }, SUITES);
});
