import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { crio } from './crio.ts';
import { PROGRAM, setup, throughLife } from './testing/files.ts';

describe('crio', () => {
  test.each([undefined, '[crio.api]\nlisten = "/x"\n'])('comes and goes in %j', (before) => {
    const [once, twice, after] = throughLife(crio, before);

    expect(parse(once ?? '')).toMatchObject({
      crio: {
        runtime: { runtimes: { tskata: { runtime_path: PROGRAM, runtime_type: 'oci', runtime_root: '/run/tskata' } } },
      },
    });
    expect([twice, after]).toEqual([once, before]);
  });

  test('refuses a runtime of the name that somebody else has written', () => {
    const text = '[crio.runtime.runtimes.tskata]\nruntime_path = "/x"\n';

    expect(() => crio.install({ path: '/f', text }, setup())).toThrow(/^\/f has a runtime tskata already/);
  });
});
