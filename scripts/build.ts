// npm run build [-- NAME...]: builds all of the product, or the parts that are named.
import { buildAll, builders, productBuilds } from './lib/artefacts.ts';
import { reportFailure } from './lib/report.ts';

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in builders));
if (names.includes('--help') || unknown.length > 0) {
  for (const name of unknown.filter((name) => name !== '--help'))
    process.stderr.write(`tskata: there is no build named ${name}\n`);
  process.stderr.write(
    `usage: npm run build [-- NAME...]\nnames: ${Object.keys(builders).join(' ')} (default: all but host)\n`,
  );
  process.exitCode = names.includes('--help') ? 0 : 2;
} else {
  await buildAll(names.length > 0 ? names : productBuilds).catch(reportFailure);
}
