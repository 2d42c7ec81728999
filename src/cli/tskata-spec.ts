// `tskata spec`: writes a config.json to start from.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONFIG_FILE } from '../oci/config.ts';
import { defaultConfig, rootlessConfig } from '../oci/default-config.ts';

/** @param rootless for a container of the calling user */
export function spec(bundle: string, rootless: boolean): void {
  const path = join(bundle, CONFIG_FILE);
  const user = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const config = rootless ? rootlessConfig(user) : defaultConfig();
  try {
    // Tabs and no line feed at the end, as runc writes it.
    writeFileSync(path, JSON.stringify(config, null, '\t'), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(`File ${CONFIG_FILE} exists. Remove it first`, { cause: error });
  }
}
