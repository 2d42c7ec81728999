// npm run bench [-- runtime] [--runs N]: measures this project beside its peers, all in one run on one host, taking turns.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAll, productBuilds } from './lib/artefacts.ts';
import { type Comparison, comparisonSvg, comparisonTable } from './lib/comparison.ts';
import { chooseHost, describeHost, runOnHost } from './lib/host.ts';
import { buildDirectory, pinnedNode, projectDirectory } from './lib/paths.ts';
import { reportFailure } from './lib/report.ts';

const SUITES = ['runtime'] as const;
const USAGE = `usage: npm run bench [-- SUITE...] [--runs N]
suites: ${SUITES.join(' ')} (default: all)
Medians of N runs each (default 5), the competitors in turn. On an emulated host only the ratios mean anything.
`;

async function bench(suite: string, runs: number): Promise<void> {
  const host = await chooseHost();
  process.stderr.write(`tskata: ${describeHost(host)}\n`);
  if (host.kind === 'emulated') await buildAll(['host']);
  const folder = join(buildDirectory, 'bench');
  mkdirSync(folder, { recursive: true });
  const json = join(folder, `${suite}.json`);
  const script = join(projectDirectory, 'scripts/lib', `bench-${suite}.ts`);
  const status = await runOnHost({ command: [pinnedNode, script, json, String(runs)], stdin: 'none', kind: host.kind });
  if (status !== 0) throw new Error(`the benchmark ${suite} ended with status ${status}`);
  const comparison: Comparison = JSON.parse(readFileSync(json, 'utf8'));
  const picture = join(folder, `${suite}.svg`);
  writeFileSync(picture, comparisonSvg(comparison));
  process.stdout.write(`\n${comparison.title}\n${comparisonTable(comparison)}\n\n${json}\n${picture}\n`);
}

function parse(): { suites: string[]; runs: number } | undefined {
  try {
    const options = { runs: { type: 'string', default: '5' }, help: { type: 'boolean' } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const runs = Number(values.runs);
    const known = positionals.every((name) => (SUITES as readonly string[]).includes(name));
    if (values.help === true || !known || !Number.isInteger(runs) || runs < 1) return undefined;
    return { suites: positionals.length > 0 ? positionals : [...SUITES], runs };
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const request = parse();
  if (request === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = process.argv.includes('--help') ? 0 : 2;
    return;
  }
  await buildAll(productBuilds);
  for (const suite of request.suites) await bench(suite, request.runs);
}

await main().catch(reportFailure);
