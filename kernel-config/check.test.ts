import { describe, expect, test } from 'vitest';
import { checkConfig, findMismatches, KernelConfigError, readFragments } from './check.ts';
import { FragmentError, mergeWants, parseConfig, parseFragment, renderWants } from './fragment.ts';

const REASON = '# a reason\n';

describe('parseFragment', () => {
  test('reads switches, numbers, hexadecimal numbers and strings', () => {
    const wants = parseFragment(
      'base.config',
      `${REASON}CONFIG_SMP=y\nCONFIG_NR_CPUS=32\nCONFIG_PHYSICAL_START=0x1000000\nCONFIG_LOCALVERSION="-a \\"b\\""\nCONFIG_PANIC_TIMEOUT=-1`,
    );
    expect(wants.map(({ option, value }) => [option, value])).toEqual([
      ['CONFIG_SMP', 'y'],
      ['CONFIG_NR_CPUS', '32'],
      ['CONFIG_PHYSICAL_START', '0x1000000'],
      ['CONFIG_LOCALVERSION', '"-a \\"b\\""'],
      ['CONFIG_PANIC_TIMEOUT', '-1'],
    ]);
  });

  test('reads "is not set" as a want, not as a comment', () => {
    expect(parseFragment('base.config', `${REASON}# CONFIG_PCI is not set\n`)).toEqual([
      { option: 'CONFIG_PCI', value: 'n', fragment: 'base.config', line: 2 },
    ]);
  });

  test('takes a sentence that names an option for a comment', () => {
    expect(parseFragment('base.config', '# Without CONFIG_PCI is not set in stone\n')).toEqual([]);
  });

  test('wants a reason above every paragraph of options', () => {
    expect(() => parseFragment('net.config', `${REASON}CONFIG_NET=y\n\nCONFIG_INET=y\n`)).toThrow(
      'kernel-config/net.config:4: CONFIG_INET has no comment above it that says why',
    );
  });

  test('does not take "is not set" for a reason', () => {
    expect(() => parseFragment('net.config', '# CONFIG_PCI is not set\nCONFIG_NET=y\n')).toThrow(FragmentError);
  });

  test.each(['CONFIG_NET = y', 'NET=y', 'CONFIG_NET=yes', 'CONFIG_NET=y # reason', 'CONFIG_NET=m', ' CONFIG_NET=y'])(
    'refuses the line "%s"',
    (line) => {
      expect(() => parseFragment('net.config', REASON + line)).toThrow('neither CONFIG_NAME=value nor a comment');
    },
  );
});

describe('mergeWants', () => {
  test('refuses an option that two fragments set', () => {
    const first = parseFragment('a.config', `${REASON}CONFIG_NET=y`);
    const second = parseFragment('b.config', `${REASON}# CONFIG_NET is not set`);
    expect(() => mergeWants([first, second])).toThrow('b.config:2: CONFIG_NET is set in a.config:2 already');
  });
});

describe('renderWants', () => {
  test('is sorted and free of comments, so that editing a reason does not rebuild the kernel', () => {
    const wants = parseFragment('a.config', `${REASON}CONFIG_SMP=y\n# other\nCONFIG_NET=y\n# CONFIG_PCI is not set`);
    expect(renderWants(wants)).toBe('# CONFIG_PCI is not set\nCONFIG_NET=y\nCONFIG_SMP=y\n');
  });

  test('gives back through parseConfig what the fragments want', () => {
    const wants = readFragments();
    expect(findMismatches(wants, parseConfig(renderWants(wants)))).toEqual([]);
  });
});

describe('checkConfig', () => {
  const wants = parseFragment(
    'virtio.config',
    `${REASON}CONFIG_VIRTIO_FS=y\nCONFIG_NR_CPUS=32\n# CONFIG_PCI is not set`,
  );

  test('accepts a .config that says what is wanted', () => {
    expect(() => checkConfig(wants, 'CONFIG_VIRTIO_FS=y\nCONFIG_NR_CPUS=32\n# CONFIG_PCI is not set\n')).not.toThrow();
  });

  test('accepts that Kconfig does not mention an option that is to be off', () => {
    expect(() => checkConfig(wants, 'CONFIG_VIRTIO_FS=y\nCONFIG_NR_CPUS=32\n')).not.toThrow();
  });

  test('names option, fragment, wanted and actual value of each difference', () => {
    expect(() => checkConfig(wants, 'CONFIG_NR_CPUS=64\nCONFIG_PCI=y\n')).toThrow(
      [
        '  CONFIG_VIRTIO_FS: wanted y (kernel-config/virtio.config:2), got nothing: unknown, or a dependency is off',
        '  CONFIG_NR_CPUS: wanted 32 (kernel-config/virtio.config:3), got 64',
        '  CONFIG_PCI: wanted n (kernel-config/virtio.config:4), got y',
      ].join('\n'),
    );
  });

  test('throws a KernelConfigError that carries the differences', () => {
    expect(() => checkConfig(wants, 'CONFIG_VIRTIO_FS=y\nCONFIG_NR_CPUS=8\n')).toThrow(KernelConfigError);
    expect(findMismatches(wants, parseConfig('CONFIG_VIRTIO_FS=y\nCONFIG_NR_CPUS=8\n'))).toMatchObject([
      { want: { option: 'CONFIG_NR_CPUS' }, actual: '8' },
    ]);
  });
});
