// `tskata spec`: writes a config.json to start from.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONFIG_FILE } from '../oci/config.ts';
import { defaultConfig } from '../oci/default-config.ts';

export function spec(bundle: string): void {
  const path = join(bundle, CONFIG_FILE);
  try {
    // Tabs and no line feed at the end, as runc writes it.
    writeFileSync(path, JSON.stringify(defaultConfig(), null, '\t'), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(`File ${CONFIG_FILE} exists. Remove it first`, { cause: error });
  }
}
