import type { ControllerRegistry } from '../core/controller-kind.ts';
import { PolicyError } from '../core/errors.ts';
import { type Config, configOf } from './load-config.ts';
import { type Policy, policyOf } from './load-policy.ts';
import { parseYaml, readText } from './yaml-file.ts';

/**
 * A config and the policies that it names, as texts: what one thread has read and checked is what another then uses, whatever
 * becomes of the files meanwhile. A controller's module alone is read by whoever runs it. Plain data.
 */
export interface ConfigSources {
  readonly configFile: string;
  /** By path: the config's, that of every policy, and of the modules that these name. */
  readonly texts: Readonly<Record<string, string>>;
  /** By service: the policy file that governs it in the place of the one that the config names. */
  readonly policyFiles: Readonly<Record<string, string>>;
}

export interface LoadedConfig {
  readonly sources: ConfigSources;
  readonly config: Config;
}

interface KnownPolicy {
  readonly text: string;
  /** What else it is made from; null: it could not be read. */
  readonly files: ReadonlyMap<string, string | null>;
  readonly policy: Policy;
}

/**
 * Loads configs time and again. A policy whose text has not changed, nor that of a file which it names, stays the same object,
 * controllers and all.
 */
export class ConfigLoader {
  readonly #registry: ControllerRegistry;
  #policies: ReadonlyMap<string, KnownPolicy> = new Map();

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
    const config = this.#load(configFile, policyFiles, textOf, (file) => unlessUnreadable(() => textOf(file)));
    return { sources: { configFile, texts, policyFiles }, config };
  }

  /** @throws PolicyError */
  parse({ configFile, texts, policyFiles }: ConfigSources): Config {
    const textOf = (file: string) => {
      const text = texts[file];
      if (text !== undefined) return text;
      throw new PolicyError('unreadable', [{ file, line: 1, column: 1, message: 'is not among the texts' }]);
    };
    return this.#load(configFile, policyFiles, textOf, (file) => texts[file] ?? null);
  }

  /** @param namedTextOf of a file that a policy names: whoever makes the controller says what is wrong with it */
  #load(
    configFile: string,
    policyFiles: ConfigSources['policyFiles'],
    textOf: (file: string) => string,
    namedTextOf: (file: string) => string | null,
  ): Config {
    const loaded = new Map<string, KnownPolicy>();
    const make = (file: string, text: string): KnownPolicy => {
      const files = new Map<string, string | null>();
      const onFile = (named: string) => void files.set(named, namedTextOf(named));
      return { text, policy: policyOf(parseYaml(file, text), this.#registry, onFile), files };
    };
    const loadPolicy = (file: string) => {
      const text = textOf(file);
      const known = this.#policies.get(file);
      const same = known?.text === text && [...known.files].every(([named, before]) => namedTextOf(named) === before);
      const policy = same ? known : make(file, text);
      loaded.set(file, policy);
      return policy.policy;
    };
    const yaml = parseYaml(configFile, textOf(configFile));
    const config = configOf(yaml, this.#registry, { loadPolicy, policyFiles });
    this.#policies = loaded;
    return config;
  }
}

function unlessUnreadable(read: () => string): string | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof PolicyError) return null;
    throw error;
  }
}
