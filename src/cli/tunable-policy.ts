import { existsSync } from 'node:fs';
import { stringify } from 'yaml';
import { controllers } from '../compose/controllers.ts';
import { UsageError } from '../core/errors.ts';
import { loadPolicy } from '../policy/load-policy.ts';
import { readYamlFile } from '../policy/yaml-file.ts';
import { type Parameters, tunable, type TunedParameter } from '../study/tune-policy.ts';

/** A policy file whose parameters can be searched. */
export interface TunablePolicy {
  readonly start: Parameters;
  readonly searched: readonly TunedParameter[];
  /** The file with other parameters. */
  readonly textOf: (parameters: Parameters) => string;
}

/** @param name as messages are to call it @throws PolicyError; UsageError where its controller has nothing to search */
export function tunablePolicy(file: string, name: string): TunablePolicy {
  const { controllerName, parameters } = loadPolicy(file, controllers);
  const searched = tunable[controllerName];
  if (searched === undefined) {
    const names = Object.keys(tunable).join(', ');
    throw new UsageError(`${name}: its controller ${controllerName} cannot be tuned, expected ${names}`);
  }
  const data = readYamlFile(file).data as Readonly<Record<string, unknown>>;
  return { start: parameters, searched, textOf: (others) => stringify({ ...data, parameters: others }) };
}

/** Before the work, not after it. @throws UsageError */
export function refuseOverwriting({ output, force }: { readonly output: string; readonly force?: true }): void {
  if (existsSync(output) && force !== true) {
    throw new UsageError(`--output ${output}: exists already, expected a new file or --force`);
  }
}

/** Comments, a line each, and the policy. */
export const describedPolicy = (words: readonly string[], text: string): string =>
  `${words.map((line) => `# ${line}\n`).join('')}${text}`;
