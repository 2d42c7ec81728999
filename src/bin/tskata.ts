// The OCI runtime.
import { runTskata } from '../cli/tskata.ts';

// No top-level await: the bundle is CommonJS (scripts/lib/programs.ts).
void runTskata(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
