// Where a container of the suite lives: a root file system with little but the probe, and a folder to mount.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROBE } from './probe.ts';

/** A folder with `rootfs` and `volume`, by the paths of two worlds: the test's, and the one in which the engine works. */
export interface Place {
  readonly folder: string;
  readonly rootfs: string;
  readonly volume: string;
  /** The same folders as the engine has them: for the sources of mounts and the programs of hooks. */
  readonly inside: { readonly folder: string; readonly rootfs: string; readonly volume: string };
}

const FOLDERS = ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'];
const PASSWD = 'root:x:0:0::/root:/bin/probe\nuser:x:1000:1000::/home/user:/bin/probe\n';

/**
 * Makes a place.
 * @param parent folder for it, by the test's path
 * @param inside the same folder as the engine has it
 */
export function makePlace(parent: string, inside: string): Place {
  const folder = mkdtempSync(join(parent, 'place-'));
  const within = inside + folder.slice(parent.length);
  chmodSync(folder, 0o755);
  const [rootfs, volume] = [join(folder, 'rootfs'), join(folder, 'volume')];
  for (const path of [rootfs, volume, ...FOLDERS.map((name) => join(rootfs, name))]) mkdirSync(path);
  chmodSync(join(rootfs, 'tmp'), 0o1777);
  copyFileSync(PROBE, join(rootfs, 'bin/probe'));
  chmodSync(join(rootfs, 'bin/probe'), 0o755);
  writeFileSync(join(rootfs, 'etc/passwd'), PASSWD);
  return {
    folder,
    rootfs,
    volume,
    inside: { folder: within, rootfs: join(within, 'rootfs'), volume: join(within, 'volume') },
  };
}
