// The suites that every runtime which takes runc's commands is to pass.
import { describeAnswers } from './answer-cases.ts';
import { describeRuntime } from './cases.ts';
import { describeEngines } from './engine-cases.ts';
import { describeEvents, describeStatistics } from './events-cases.ts';
import { describeHooks } from './hook-cases.ts';
import { describePs, describePsOfStopped } from './ps-cases.ts';
import { describeLimits, describeUpdate } from './update-cases.ts';
import { describeVerbs } from './verbs-cases.ts';

export const SUITES = [
  describeRuntime,
  describeHooks,
  describeAnswers,
  describeEngines,
  describeUpdate,
  describeLimits,
  describePs,
  describePsOfStopped,
  describeEvents,
  describeStatistics,
  describeVerbs,
] as const;
