// The OCI runtime.
import { runTskata } from '../cli/tskata.ts';

process.exitCode = await runTskata(process.argv.slice(2));
