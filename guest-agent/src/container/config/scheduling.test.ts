import { describe, expect, test } from 'vitest';
import { JsonObject } from './json.ts';
import { parseAffinity, parseIoPriority, parsePersonality, parseScheduler } from './scheduling.ts';

const refusal = (place: string) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(place) });

describe('parseScheduler', () => {
  const parse = (scheduler: object) => parseScheduler(new JsonObject({ scheduler }, 'process'));

  test('takes what is left out as nothing', () => {
    expect(parse({ policy: 'SCHED_OTHER' })).toMatchObject({ policy: 0, nice: 0, priority: 0, flags: 0, runtimeNs: 0 });
    expect(parseScheduler(new JsonObject({}, 'process'))).toBeUndefined();
  });

  test('joins flags', () => {
    const flags = ['SCHED_FLAG_RESET_ON_FORK', 'SCHED_FLAG_DL_OVERRUN'];
    expect(parse({ policy: 'SCHED_DEADLINE', flags, runtime: 1, deadline: 2, period: 3 })).toMatchObject({
      flags: 5,
      runtimeNs: 1,
      deadlineNs: 2,
      periodNs: 3,
    });
  });

  test.each([
    [{}, 'process.scheduler.policy'],
    [{ policy: 'SCHED_ISO' }, 'process.scheduler.policy'],
    [{ policy: 'toString' }, 'process.scheduler.policy'],
    [{ policy: 'SCHED_OTHER', nice: 20 }, 'process.scheduler.nice'],
    [{ policy: 'SCHED_BATCH', nice: -21 }, 'process.scheduler.nice'],
    [{ policy: 'SCHED_OTHER', priority: 1 }, 'process.scheduler.priority'],
    [{ policy: 'SCHED_RR', runtime: 1 }, 'process.scheduler.runtime'],
    [{ policy: 'SCHED_DEADLINE', period: -1 }, 'process.scheduler.period'],
    [{ policy: 'SCHED_RR', flags: ['SCHED_FLAG_LUCK'] }, 'process.scheduler.flags'],
  ])('refuses %j and names the place', (scheduler, place) => {
    expect(() => parse(scheduler)).toThrow(refusal(place));
  });
});

describe('parseIoPriority', () => {
  const parse = (ioPriority: object) => parseIoPriority(new JsonObject({ ioPriority }, 'process'));

  test('takes class and priority', () => {
    expect(parse({ class: 'IOPRIO_CLASS_BE', priority: 7 })).toMatchObject({ ioClass: 2, priority: 7 });
  });

  test.each([
    [{ priority: 1 }, 'process.ioPriority.class'],
    [{ class: 'IOPRIO_CLASS_NONE' }, 'process.ioPriority.class'],
    [{ class: 'IOPRIO_CLASS_RT', priority: 8 }, 'process.ioPriority.priority'],
    [{ class: 'IOPRIO_CLASS_RT', priority: -1 }, 'process.ioPriority.priority'],
  ])('refuses %j and names the place', (ioPriority, place) => {
    expect(() => parse(ioPriority)).toThrow(refusal(place));
  });
});

describe('parseAffinity', () => {
  const parse = (execCPUAffinity: object) => parseAffinity(new JsonObject({ execCPUAffinity }, 'process'));

  test.each([
    ['0', [0]],
    ['0-3,7', [0, 1, 2, 3, 7]],
    [' 1 , 3-3 ', [1, 3]],
    ['8191', [8191]],
  ])('reads %j', (text, cpus) => {
    expect(parse({ initial: text, final: text })).toEqual({ initial: { text, cpus }, final: { text, cpus } });
  });

  test('takes an empty list for none', () => {
    expect(parse({ initial: '' })).toEqual({ initial: undefined, final: undefined });
  });

  test.each(['x', '1-', '-1', '3-1', '1,,2', '8192', '0-99999', '1;2', '1 2'])(
    'refuses %j and names the place',
    (text) => {
      expect(() => parse({ final: text })).toThrow(refusal('process.execCPUAffinity.final'));
    },
  );
});

describe('parsePersonality', () => {
  const parse = (personality: object, warnings: string[] = []) =>
    parsePersonality(new JsonObject({ personality }, 'linux'), warnings);

  test('knows LINUX and LINUX32', () => {
    expect([parse({ domain: 'LINUX' }), parse({ domain: 'LINUX32' })]).toEqual([0, 8]);
  });

  test('warns of flags, which the specification has none of', () => {
    const warnings: string[] = [];
    parse({ domain: 'LINUX', flags: ['ADDR_NO_RANDOMIZE'] }, warnings);
    expect(warnings).toEqual([expect.stringContaining('linux.personality.flags')]);
  });

  test.each([{}, { domain: 'BSD' }])('refuses %j and names the place', (personality) => {
    expect(() => parse(personality)).toThrow(refusal('linux.personality.domain'));
  });
});
