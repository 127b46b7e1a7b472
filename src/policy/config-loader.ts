import type { ControllerRegistry } from '../core/controller-kind.ts';
import { PolicyError } from '../core/errors.ts';
import { type Config, configOf } from './load-config.ts';
import { type Policy, policyOf } from './load-policy.ts';
import { parseYaml, readText } from './yaml-file.ts';

/**
 * A config and the policies that it names, as texts: what one thread has read and checked is what another then uses, whatever
 * becomes of the files meanwhile. Plain data.
 */
export interface ConfigSources {
  readonly configFile: string;
  /** By path: the config's, and that of every policy. */
  readonly texts: Readonly<Record<string, string>>;
  /** By service: the policy file that governs it in the place of the one that the config names. */
  readonly policyFiles: Readonly<Record<string, string>>;
}

export interface LoadedConfig {
  readonly sources: ConfigSources;
  readonly config: Config;
}

/** Loads configs time and again. A policy whose text has not changed stays the same object, controllers and all. */
export class ConfigLoader {
  readonly #registry: ControllerRegistry;
  #policies: ReadonlyMap<string, { readonly text: string; readonly policy: Policy }> = new Map();

  constructor(registry: ControllerRegistry) {
    this.#registry = registry;
  }

  /**
   * Reads the files.
   *
   * @param onText is told every file that is needed and its text, null where it cannot be read; also when the config is bad
   * @throws PolicyError with all problems of all files
   */
  read(
    configFile: string,
    policyFiles: ConfigSources['policyFiles'] = {},
    onText: (file: string, text: string | null) => void = () => undefined,
  ): LoadedConfig {
    const texts: Record<string, string> = {};
    const textOf = (file: string) => {
      onText(file, null);
      const text = readText(file);
      onText(file, text);
      return (texts[file] = text);
    };
    const config = this.#load(configFile, policyFiles, textOf);
    return { sources: { configFile, texts, policyFiles }, config };
  }

  /** @throws PolicyError */
  parse({ configFile, texts, policyFiles }: ConfigSources): Config {
    return this.#load(configFile, policyFiles, (file) => {
      const text = texts[file];
      if (text !== undefined) return text;
      throw new PolicyError('unreadable', [{ file, line: 1, column: 1, message: 'is not among the texts' }]);
    });
  }

  #load(configFile: string, policyFiles: ConfigSources['policyFiles'], textOf: (file: string) => string): Config {
    const loaded = new Map<string, { text: string; policy: Policy }>();
    const loadPolicy = (file: string) => {
      const text = textOf(file);
      const known = this.#policies.get(file);
      const policy = known?.text === text ? known.policy : policyOf(parseYaml(file, text), this.#registry);
      loaded.set(file, { text, policy });
      return policy;
    };
    const yaml = parseYaml(configFile, textOf(configFile));
    const config = configOf(yaml, this.#registry, { loadPolicy, policyFiles });
    this.#policies = loaded;
    return config;
  }
}
