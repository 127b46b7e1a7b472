import type { ControllerRegistry } from '../core/controller-kind.ts';
import { PolicyError } from '../core/errors.ts';
import { type Config, configOf } from './load-config.ts';
import { type Policy, policyOf } from './load-policy.ts';
import { readYamlFile } from './yaml-file.ts';

export type CheckedFile =
  { readonly kind: 'policy'; readonly policy: Policy } | { readonly kind: 'config'; readonly config: Config };

/**
 * Loads a file of either kind: a config has services, a policy has a controller.
 *
 * @throws PolicyError with all of its problems
 */
export function checkFile(file: string, registry: ControllerRegistry): CheckedFile {
  const yaml = readYamlFile(file);
  const keys = typeof yaml.data === 'object' && yaml.data !== null ? Object.keys(yaml.data) : [];
  if (keys.includes('services')) return { kind: 'config', config: configOf(yaml, registry) };
  if (keys.includes('controller')) return { kind: 'policy', policy: policyOf(yaml, registry) };
  const message = 'neither kind of file, expected a policy with the key controller or a config with the key services';
  throw new PolicyError('bad-file', [yaml.problemAt([], message)]);
}
