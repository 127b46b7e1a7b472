/**
 * The reference tables of docs/configure.md, made from the JSON Schema that `tailgov policy schema config` prints, so that
 * what is written there is what the program checks.
 *
 *   node deploy/config-reference.mjs          writes them into the page
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';

const BEGIN = '<!-- made from the schema: node deploy/config-reference.mjs -->';
const END = '<!-- end of what is made from the schema -->';

/**
 * @typedef {object} Schema the parts of JSON Schema that ours uses
 * @property {string} [type]
 * @property {string} [description]
 * @property {unknown} [default]
 * @property {unknown} [const]
 * @property {readonly unknown[]} [enum]
 * @property {readonly unknown[]} [examples]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {Schema} [items]
 * @property {Readonly<Record<string, Schema>>} [properties]
 * @property {readonly string[]} [required]
 * @property {readonly Schema[]} [anyOf]
 */

/** @param {unknown} value as a config file writes it */
const written = (value) => {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  return typeof value === 'object' && value !== null
    ? `{ ${Object.entries(value)
        .map(([key, inner]) => `${key}: ${written(inner)}`)
        .join(', ')} }`
    : String(value);
};

/**
 * What may stand there.
 * @param {Schema} schema
 * @returns {string}
 */
export function expectedOf(schema) {
  if (schema.const !== undefined) return `\`${written(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${written(value)}\``).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(expectedOf).join(', or ');
  if (schema.type === 'array' && schema.items !== undefined) return `list of ${expectedOf(schema.items)}`;
  if (schema.properties !== undefined) {
    const inner = Object.entries(schema.properties).map(([key, value]) => `${key}: ${expectedOf(value)}`);
    return `{ ${inner.join(', ')} }`;
  }
  if (schema.examples !== undefined)
    return `such as ${schema.examples.map((value) => `\`${written(value)}\``).join(', ')}`;
  if (schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) {
    return `${schema.minimum} to ${schema.maximum}`;
  }
  return schema.type === 'boolean' ? '`true`, `false`' : (schema.type ?? 'anything');
}

/**
 * A row a key, parents before their children.
 * @param {Schema} schema of an object
 * @param {string} path of the object: empty, or ending in a dot
 * @returns {readonly (readonly string[])[]} key, what is expected, default, meaning
 */
export function rowsOf(schema, path = '') {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const list = value.type === 'array' && value.items?.properties !== undefined;
    const inner = list ? value.items : value.type === 'object' ? value : undefined;
    const name = `${path}${key}${list ? '[]' : ''}`;
    const meaning = value.description ?? '';
    if (inner?.properties !== undefined) {
      return [[`\`${name}\``, '', '', `**${meaning}**`], ...rowsOf(inner, `${name}.`)];
    }
    const fallback =
      value.default === undefined
        ? schema.required?.includes(key)
          ? 'required'
          : ''
        : `\`${written(value.default)}\``;
    return [[`\`${name}\``, expectedOf(value), fallback, meaning]];
  });
}

/**
 * @param {string} page
 * @param {Schema} schema
 * @returns {Promise<string>} the page with its tables made anew, formatted
 * @throws {Error} where the page has no place for them
 */
export async function withReference(page, schema) {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`find ${BEGIN} and ${END} in the page: not there`);
  const cell = (/** @type {string} */ text) => text.replaceAll('|', '\\|');
  const rows = [['key', 'expected', 'default', 'meaning'], ['---', '---', '---', '---'], ...rowsOf(schema)];
  const table = rows.map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');
  return format(`${before}${BEGIN}\n\n${table}\n\n${END}${after}`, { parser: 'markdown', printWidth: 120 });
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const file = join(root, 'docs/configure.md');
  const command = [join(root, 'dist/cli.js'), 'policy', 'schema', 'config'];
  const printed = execFileSync(process.execPath, command, { encoding: 'utf8' });
  writeFileSync(file, await withReference(readFileSync(file, 'utf8'), JSON.parse(printed)));
}
