// The help of `tskata` and its verbs. Loaded when somebody asks, or has made a mistake.
import { Command, Option } from 'commander';
import type { Flags } from './command-line.ts';
import type { Verb } from './tskata.ts';

/** @param verb the one whose help it is; without it the whole program's */
export function helpText(globalFlags: Flags, verbs: readonly Verb[], verb?: Verb): string {
  if (verb !== undefined) {
    const command = new Command(`tskata ${verb.name}`).description(verb.about).usage(verb.usage);
    return withFlags(command, verb.flags).helpInformation();
  }
  const program = new Command('tskata')
    .description('An OCI runtime, called as runc is, that runs each container inside a virtual machine of its own.')
    .usage('[global options] command [command options] [arguments...]');
  for (const { name, about, usage } of verbs) program.command(name).description(about).usage(usage);
  return withFlags(program, globalFlags).helpInformation();
}

function withFlags(command: Command, flags: Flags): Command {
  for (const [name, { short, placeholder, about, otherwise, isHidden }] of Object.entries(flags)) {
    const written = `${short === undefined ? '' : `-${short}, `}--${name}${placeholder === undefined ? '' : ` <${placeholder}>`}`;
    const isShown = typeof otherwise === 'string' && otherwise !== '';
    command.addOption(
      new Option(written, isShown ? `${about} (default: ${otherwise})` : about).hideHelp(isHidden === true),
    );
  }
  return command.helpOption('-h, --help', 'show help');
}
