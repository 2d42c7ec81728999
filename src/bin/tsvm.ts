// The VMM on its own.
import { runTsvm } from '../cli/tsvm.ts';

process.exitCode = await runTsvm(process.argv.slice(2));
