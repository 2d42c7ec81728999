// Debian packages of any release, on a machine of any release: a private apt state that leaves the machine's own alone.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.ts';
import { cacheDirectory } from './paths.ts';
import { run } from './run.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The Debian mirror that this machine itself uses: the first `URIs:` or `deb` line of its apt sources. */
export function machineMirror(): string {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
  ];
  for (const file of files.filter((name) => existsSync(name))) {
    const text = readFileSync(file, 'utf8');
    const uri = /^URIs:\s*(\S+)/m.exec(text)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text)?.[1];
    if (uri !== undefined) return uri;
  }
  throw new Error('no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d: add one, then try again');
}

/** A view of one Debian release (`trixie`, `bookworm`) and its updates. */
export interface DebianRelease {
  /** Newest version of a binary package that the mirror holds. */
  newestVersion(packageName: string): Promise<string>;
  /** Names of the packages that this version of a binary package depends on; of alternatives the first. */
  dependencies(packageName: string, version: string): Promise<string[]>;
  /** All versions of a source package that the mirror holds, newest first. */
  sourceVersions(packageName: string): Promise<string[]>;
  /** Downloads a .deb (checked by apt against the signed index) into a folder; gives its path. */
  downloadBinary(packageName: string, version: string, folder: string): Promise<string>;
  /** Downloads and unpacks a source package with Debian's patches into a folder; gives the path of the source tree. */
  downloadSource(packageName: string, version: string, folder: string): Promise<string>;
}

/** Opens a release: fetches and verifies its index once per process. */
export async function openDebianRelease(suite: string): Promise<DebianRelease> {
  const state = join(cacheDirectory, `apt-${suite}`);
  const mirror = machineMirror();
  const options = [
    `Dir::State=${state}/state`,
    `Dir::State::Lists=${state}/lists`,
    `Dir::Cache=${state}/cache`,
    `Dir::Etc::SourceList=${state}/sources.list`,
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::Etc::Preferences=/dev/null',
    'Dir::Etc::PreferencesParts=/dev/null',
    `Dir::Etc::Trusted=${KEYRING}`,
    'Dir::State::Status=/dev/null',
    'APT::Sandbox::User=root',
    'APT::Architecture=amd64',
    'APT::Architectures=amd64',
  ].flatMap((option) => ['-o', option]);
  for (const folder of ['state/lists/partial', 'lists/partial', 'cache/archives/partial'])
    mkdirSync(join(state, folder), { recursive: true });
  const line = (type: string, name: string, uri: string): string =>
    `${type} [signed-by=${KEYRING}] ${uri} ${name} main\n`;
  const security = `${mirror.replace(/\/debian\/?$/, '')}/debian-security`;
  const text = ['deb', 'deb-src']
    .map(
      (type) =>
        line(type, suite, mirror) + line(type, `${suite}-updates`, mirror) + line(type, `${suite}-security`, security),
    )
    .join('');
  await withLock(`${state}.lock`, async () => {
    writeFileSync(join(state, 'sources.list'), text);
    await run('apt-get', [...options, '-qq', 'update']);
  });
  return {
    async newestVersion(packageName) {
      const policy = await run('apt-cache', [...options, 'policy', packageName]);
      const version = /Candidate: (\S+)/.exec(policy)?.[1];
      if (version === undefined || version === '(none)')
        throw new Error(`Debian ${suite} has no package ${packageName}`);
      return version;
    },
    async dependencies(packageName, version) {
      const text = await run('apt-cache', [...options, 'show', `${packageName}=${version}`]);
      const list = /^Depends: (.+)$/m.exec(text)?.[1] ?? '';
      return list.split(',').map((entry) => entry.trim().split(/[ :|]/)[0] ?? '');
    },
    async sourceVersions(packageName) {
      const text = await run('apt-cache', [...options, 'showsrc', '--only-source', packageName]);
      return [...text.matchAll(/^Version: (\S+)$/gm)].map((match) => match[1] ?? '').reverse();
    },
    async downloadBinary(packageName, version, folder) {
      await run('apt-get', [...options, '-qq', 'download', `${packageName}=${version}`], { cwd: folder });
      const file = readdirSync(folder).find((name) => name.startsWith(`${packageName}_`) && name.endsWith('.deb'));
      if (file === undefined) throw new Error(`apt-get downloaded no ${packageName} ${version} into ${folder}`);
      return join(folder, file);
    },
    async downloadSource(packageName, version, folder) {
      await run('apt-get', [...options, '-qq', 'source', '--only-source', `${packageName}=${version}`], {
        cwd: folder,
      });
      const tree = readdirSync(folder, { withFileTypes: true }).find((entry) => entry.isDirectory());
      if (tree === undefined) throw new Error(`apt-get unpacked no source of ${packageName} ${version} in ${folder}`);
      return join(folder, tree.name);
    },
  };
}
