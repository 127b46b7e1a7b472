import { dirname } from 'node:path';
import { z } from 'zod';
import type { Controller } from '../core/controller.ts';
import type { ControllerKind, ControllerRegistry, PolicyPlace } from '../core/controller-kind.ts';
import { messageOf, PolicyError } from '../core/errors.ts';
import { describeParameters } from './describe-parameters.ts';
import { oncePer } from './once-per.ts';
import { fallbackSchema, FULL_SPEED, type ParsedPolicy, policySchema } from './policy-schema.ts';
import { check, type Checked, type Complaint, toProblem } from './problems.ts';
import { type Firing, parseCron } from './schedule.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

/** Shares of full capacity; the rates are in full capacity a second, absent where the level may jump. */
export interface LevelRange {
  readonly min: number;
  readonly max: number;
  readonly risePerS?: number;
  readonly fallPerS?: number;
}

/** What a schedule can change. */
export interface PolicySettings {
  readonly intervalMs: number;
  /** As a file writes them, units and all, with every default filled in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly level: LevelRange;
  /** The same object in settings whose parameters are the same. */
  readonly controller: Controller;
}

export interface ScheduleRule {
  readonly cron: string;
  readonly timeZone?: string;
  readonly firing: Firing;
  /** In force from then on. */
  readonly settings: PolicySettings;
}

/** How a service is governed; portable between machines. */
export interface Policy extends PolicySettings {
  readonly file: string;
  readonly controllerName: string;
  /** Governs once the controller has failed too often; null: full speed. */
  readonly fallback: Pick<Policy, 'controllerName' | 'parameters' | 'controller'> | null;
  readonly schedule: readonly ScheduleRule[];
}

const schemasOf = oncePer((registry: ControllerRegistry) => ({
  policy: policySchema(Object.keys(registry)),
  fallback: fallbackSchema(Object.keys(registry)),
}));

/** @throws PolicyError with all of the file's problems */
export function loadPolicy(file: string, registry: ControllerRegistry): Policy {
  return policyOf(readYamlFile(file), registry);
}

/**
 * @param onFile is told every other file that the policy is made from
 * @throws PolicyError with all of the file's problems
 */
export function policyOf(yaml: YamlFile, registry: ControllerRegistry, onFile?: PolicyPlace['onFile']): Policy {
  const base = check(schemasOf(registry).policy, yaml.data);
  const parameters = checkParameters(yaml.data, registry);
  const fallback = fallbackComplaints(yaml.data, registry);
  const complaints = [
    // Of a mapping its own schema says more than the choice between it and a word can.
    ...(base.ok ? [] : base.complaints.filter(({ path }) => path[0] !== 'fallback' || fallback === null)),
    ...(parameters.ok ? [] : parameters.complaints),
    ...(fallback ?? []),
  ];
  if (base.ok) complaints.push(...rangeComplaints(base.value));
  if (!base.ok || complaints.length > 0) throw badFile(yaml, complaints);
  const place = { directory: dirname(yaml.file), ...(onFile === undefined ? {} : { onFile }) };
  return compile(yaml, base.value, registry, place);
}

/** @throws PolicyError with what is wrong in the schedule */
function compile(yaml: YamlFile, parsed: ParsedPolicy, registry: ControllerRegistry, place: PolicyPlace): Policy {
  const make = (kind: ControllerKind, parameters: Written, at: readonly PropertyKey[]) =>
    made(yaml, kind, parameters, place, at);
  const { controller: controllerName, fallback } = parsed;
  const kind = registry[controllerName]!;
  const own = settingsOf(kind, parsed, parsed.parameters, make(kind, parsed.parameters, ['parameters']));
  const complaints: Complaint[] = [];
  const schedule = parsed.schedule.map((rule, index): ScheduleRule | null => {
    const makeSet = (parameters: Written) => make(kind, parameters, ['schedule', index, 'set', 'parameters']);
    const compiled = compileRule(parsed, own, rule, kind, makeSet);
    if (compiled.ok) return compiled.value;
    complaints.push(...compiled.complaints.map((said) => ({ ...said, path: ['schedule', index, ...said.path] })));
    return null;
  });
  if (complaints.length > 0) throw badFile(yaml, complaints);
  return {
    file: yaml.file,
    controllerName,
    ...own,
    fallback:
      fallback === FULL_SPEED
        ? null
        : {
            controllerName: fallback.controller,
            parameters: resolvedParameters(registry[fallback.controller]!, fallback.parameters),
            controller: make(registry[fallback.controller]!, fallback.parameters, ['fallback', 'parameters']),
          },
    schedule: schedule.filter((rule) => rule !== null),
  };
}

type Settings = Pick<ParsedPolicy, 'interval' | 'level'>;

type Written = Readonly<Record<string, unknown>>;

/** @throws PolicyError where a parameter turns out to be wrong only when it is used: a file that cannot be read */
function made(
  yaml: YamlFile,
  kind: ControllerKind,
  parameters: Written,
  place: PolicyPlace,
  at: readonly PropertyKey[],
): Controller {
  try {
    return kind.create(parameters, place);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw badFile(
      yaml,
      error.issues.map(({ path, message }) => ({ path: [...at, ...path], message })),
    );
  }
}

function settingsOf(
  kind: ControllerKind,
  { interval, level }: Settings,
  parameters: Written,
  controller: Controller,
): PolicySettings {
  const { min, max, rise, fall } = level;
  return {
    intervalMs: interval,
    parameters: resolvedParameters(kind, parameters),
    level: {
      min,
      max,
      ...(rise === undefined ? {} : { risePerS: rise }),
      ...(fall === undefined ? {} : { fallPerS: fall }),
    },
    controller,
  };
}

/** What a rule sets takes the place of the policy's own, and must be as sound together with the rest of it. */
function compileRule(
  parsed: ParsedPolicy,
  own: PolicySettings,
  { cron, timeZone, set }: ParsedPolicy['schedule'][number],
  kind: ControllerKind,
  make: (parameters: Written) => Controller,
): Checked<ScheduleRule> {
  const complaints: Complaint[] = [];
  const settings: Settings = {
    interval: set.interval ?? parsed.interval,
    level: merged(parsed.level, set.level),
  };
  complaints.push(...rangeComplaints(settings).map((said) => ({ ...said, path: ['set', ...said.path] })));
  const parameters = { ...parsed.parameters, ...set.parameters };
  const checked = check(kind.parameters, parameters, ['set', 'parameters']);
  if (!checked.ok) complaints.push(...checked.complaints);
  const firing = compileCron(cron, timeZone);
  if (!firing.ok) complaints.push(...firing.complaints);
  if (!firing.ok || complaints.length > 0) return { ok: false, complaints };
  const sameParameters = Object.keys(set.parameters).length === 0;
  return {
    ok: true,
    value: {
      cron,
      ...(timeZone === undefined ? {} : { timeZone }),
      firing: firing.value,
      settings: settingsOf(kind, settings, parameters, sameParameters ? own.controller : make(parameters)),
    },
  };
}

/** What is set, and what is not set from `own`. */
function merged(own: Settings['level'], set: ParsedPolicy['schedule'][number]['set']['level']): Settings['level'] {
  return {
    min: set.min ?? own.min,
    max: set.max ?? own.max,
    rise: set.rise ?? own.rise,
    fall: set.fall ?? own.fall,
  };
}

function compileCron(cron: string, timeZone: string | undefined): Checked<Firing> {
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    const message = `${JSON.stringify(timeZone)} given, expected a time zone such as Europe/Berlin or UTC`;
    return { ok: false, complaints: [{ path: ['timeZone'], message }] };
  }
  try {
    return { ok: true, value: parseCron(cron, timeZone) };
  } catch (error) {
    const message = `${JSON.stringify(cron)} given: ${messageOf(error)}, expected a cron expression such as "0 22 * * *"`;
    return { ok: false, complaints: [{ path: ['cron'], message }] };
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function rangeComplaints({ level: { min, max } }: Pick<Settings, 'level'>): readonly Complaint[] {
  return min <= max ? [] : [{ path: ['level', 'min'], message: `${min} given, expected at most max, ${max}` }];
}

/** @returns null where the file names no controller of its own as its fallback */
function fallbackComplaints(data: unknown, registry: ControllerRegistry): readonly Complaint[] | null {
  const { fallback } = (data instanceof Object ? data : {}) as Record<string, unknown>;
  if (!(fallback instanceof Object) || Array.isArray(fallback)) return null;
  const base = check(schemasOf(registry).fallback, fallback, ['fallback']);
  const parameters = checkParameters(fallback, registry, ['fallback']);
  return [...(base.ok ? [] : base.complaints), ...(parameters.ok ? [] : parameters.complaints)];
}

export function badFile(yaml: YamlFile, complaints: readonly Complaint[]): PolicyError {
  const problems = complaints.map((complaint) => toProblem(yaml, complaint));
  return new PolicyError(
    'bad-file',
    problems.sort((a, b) => a.line - b.line || a.column - b.column),
  );
}

/** Parameters can be judged as soon as the controller is known, whatever else is wrong with the file. */
function checkParameters(
  data: unknown,
  registry: ControllerRegistry,
  at: readonly PropertyKey[] = [],
): Checked<unknown> {
  const { controller, parameters } = (data instanceof Object ? data : {}) as Record<string, unknown>;
  const known = typeof controller === 'string' && Object.hasOwn(registry, controller);
  // A value that is no mapping is the policy schema's to report.
  if (!known || !(parameters instanceof Object) || Array.isArray(parameters)) return { ok: true, value: null };
  return check(registry[controller]!.parameters, parameters, [...at, 'parameters']);
}

/** What was written, with the schema's defaults for the rest. */
function resolvedParameters(kind: ControllerKind, written: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...defaultsOf(kind), ...written };
}

const defaultsOf = oncePer((kind: ControllerKind): Readonly<Record<string, unknown>> => {
  const defaults = describeParameters(kind).filter((parameter) => parameter.default !== undefined);
  return Object.fromEntries(defaults.map((parameter) => [parameter.name, parameter.default]));
});
