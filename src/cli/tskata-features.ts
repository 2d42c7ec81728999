// `tskata features`: what this runtime supports, for engines that ask when they start (OCI runtime-spec 1.2, features.md).
import { supportedFeatures } from '../oci/features.ts';

export function features(): void {
  process.stdout.write(`${JSON.stringify(supportedFeatures(), null, 4)}\n`);
}
