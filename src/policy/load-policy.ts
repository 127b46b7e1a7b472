import type { Controller } from '../core/controller.ts';
import type { ControllerKind, ControllerRegistry } from '../core/controller-kind.ts';
import { PolicyError } from '../core/errors.ts';
import { describeParameters } from './describe-parameters.ts';
import { policySchema } from './policy-schema.ts';
import { check, type Checked, type Complaint, toProblem } from './problems.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

/** How a service is governed; portable between machines. */
export interface Policy {
  readonly file: string;
  readonly controllerName: string;
  readonly intervalMs: number;
  /** As a file writes them, units and all, with every default filled in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly level: { readonly min: number; readonly max: number };
  readonly controller: Controller;
}

/** @throws PolicyError with all of the file's problems */
export function loadPolicy(file: string, registry: ControllerRegistry): Policy {
  return policyOf(readYamlFile(file), registry);
}

/** @throws PolicyError with all of the file's problems */
export function policyOf(yaml: YamlFile, registry: ControllerRegistry): Policy {
  const base = check(policySchema(Object.keys(registry)), yaml.data);
  const parameters = checkParameters(yaml.data, registry);
  const complaints = [
    ...(base.ok ? [] : base.complaints),
    ...(parameters.ok ? [] : parameters.complaints),
    ...(base.ok && base.value.level.min > base.value.level.max
      ? [
          {
            path: ['level', 'min'],
            message: `${base.value.level.min} given, expected at most max, ${base.value.level.max}`,
          },
        ]
      : []),
  ];
  if (!base.ok || complaints.length > 0) throw badFile(yaml, complaints);

  const { controller: controllerName, interval, level } = base.value;
  const kind = registry[controllerName]!;
  return {
    file: yaml.file,
    controllerName,
    intervalMs: interval,
    parameters: resolvedParameters(kind, base.value.parameters),
    level,
    controller: kind.create(base.value.parameters),
  };
}

export function badFile(yaml: YamlFile, complaints: readonly Complaint[]): PolicyError {
  const problems = complaints.map((complaint) => toProblem(yaml, complaint));
  return new PolicyError(
    'bad-file',
    problems.sort((a, b) => a.line - b.line || a.column - b.column),
  );
}

/** Parameters can be judged as soon as the controller is known, whatever else is wrong with the file. */
function checkParameters(data: unknown, registry: ControllerRegistry): Checked<unknown> {
  const { controller, parameters } = (data instanceof Object ? data : {}) as Record<string, unknown>;
  const known = typeof controller === 'string' && Object.hasOwn(registry, controller);
  // A value that is no mapping is the policy schema's to report.
  if (!known || !(parameters instanceof Object) || Array.isArray(parameters)) return { ok: true, value: null };
  return check(registry[controller]!.parameters, parameters, ['parameters']);
}

/** What was written, with the schema's defaults for the rest. */
function resolvedParameters(kind: ControllerKind, written: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const defaults = describeParameters(kind).filter((parameter) => parameter.default !== undefined);
  return { ...Object.fromEntries(defaults.map((parameter) => [parameter.name, parameter.default])), ...written };
}
