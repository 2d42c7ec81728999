// The table of docs/conformance.md: where engines do not do what the others do.
import { differencesOf } from './case.ts';
import { suite } from './cases/index.ts';

/** A Markdown table, a line for each case and engine. */
export function differencesTable(): string {
  const lines = Object.values(suite)
    .flat()
    .flatMap((one) =>
      differencesOf(one).map(([world, { reason, skipped }]) => {
        const how = skipped === true ? 'not run' : 'other result';
        return `| \`${one.field}\` | ${one.name} | ${world} | ${how} | ${reason} |`;
      }),
    );
  return ['| field | case | where | how | why |', '|---|---|---|---|---|', ...lines].join('\n');
}
