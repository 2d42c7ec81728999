// resolv.conf and hosts, which containers bind: below /run/tskata/network.
import { GUEST_DIRECTORY } from '../../../src/protocol/agent-service.ts';
import { overwriteFile } from '../storage/guest-files.ts';

const DIRECTORY = `${GUEST_DIRECTORY}/network`;

/** Writes what is given. The files stay the same ones: a container that has bound one sees the new contents. */
export function writeResolverFiles({
  resolvConf,
  hosts,
}: {
  resolvConf?: string | undefined;
  hosts?: string | undefined;
}): void {
  if (resolvConf !== undefined) overwriteFile(`${DIRECTORY}/resolv.conf`, resolvConf);
  if (hosts !== undefined) overwriteFile(`${DIRECTORY}/hosts`, hosts);
}
