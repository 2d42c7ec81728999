// The suites that every runtime which takes runc's commands is to pass.
import { describeRuntime } from './cases.ts';
import { describeEvents, describeStatistics } from './events-cases.ts';
import { describePs, describePsOfStopped } from './ps-cases.ts';
import { describeLimits, describeUpdate } from './update-cases.ts';
import { describeVerbs } from './verbs-cases.ts';

export const SUITES = [
  describeRuntime,
  describeUpdate,
  describeLimits,
  describePs,
  describePsOfStopped,
  describeEvents,
  describeStatistics,
  describeVerbs,
] as const;
