// `tskata features`: what this runtime supports, for engines that ask when they start (OCI runtime-spec 1.2, features.md).
import { supportedFeatures } from '../oci/features.ts';
import { print } from './tskata-output.ts';

export async function features(): Promise<void> {
  await print(`${JSON.stringify(supportedFeatures(), null, 4)}\n`);
}
