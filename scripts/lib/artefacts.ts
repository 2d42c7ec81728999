// Everything that is built, by name, in the order in which it may be asked for. `npm run build -- NAME...` builds some of it.
import { buildAgent } from '../../guest-agent/build.ts';
import { buildHostImages } from '../../images/host/build.ts';
import { buildInitramfs } from '../../images/initramfs/build.ts';
import { buildRootfs } from '../../images/rootfs/build.ts';
import { buildStockKernels } from '../../images/stock-kernels/build.ts';
import { buildKernel } from '../../kernel-config/build.ts';
import { buildNative } from '../../native/build.ts';
import { buildProxy } from '../../native/proxy/build.ts';
import { buildShim } from '../../shim/build.ts';
import { buildProbe } from '../../test/conformance/probe.ts';
import { buildHelpers } from '../../test/oci/helpers.ts';
import { buildOnAgent } from '../../test/oci/on-agent.ts';
import { buildPrograms } from './programs.ts';

/** What one name of `npm run build` makes. Each build is quick when nothing has changed. */
export const builders: Readonly<Record<string, () => Promise<unknown>>> = {
  programs: buildPrograms,
  native: buildNative,
  proxy: buildProxy,
  agent: buildAgent,
  shim: buildShim,
  initramfs: buildInitramfs,
  kernel: buildKernel,
  rootfs: buildRootfs,
  callers: buildHelpers,
  'on-agent': buildOnAgent,
  probe: buildProbe,
  host: buildHostImages,
  stock: buildStockKernels,
};

/**
 * What only tests and trials need: the programs that play a runtime's callers and that look around in containers, the runtime without
 * virtual machines, the emulated host, distribution kernels.
 */
const TEST_BUILDS = ['callers', 'on-agent', 'probe', 'host', 'stock'];

/** All that the product consists of. */
export const productBuilds = Object.keys(builders).filter((name) => !TEST_BUILDS.includes(name));

/** Builds these, one after the other: each uses all cores by itself. */
export async function buildAll(names: readonly string[]): Promise<void> {
  for (const name of names) await builders[name]?.();
}
