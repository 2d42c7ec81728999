// The VMM on its own.
import { runTsvm } from '../cli/tsvm.ts';

// No top-level await: the bundle is CommonJS (scripts/lib/programs.ts).
void runTsvm(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
