import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A development dependency of which the reports carry a part. */
const VENDORED = ['node_modules/uplot'];
const LICENSE_FILE = /^(licen[cs]e|copying|notice)/i;

/**
 * The licences of what the bundle is made of, with their texts: most of them ask for that.
 *
 * @param {string} root of the checkout, with its packages installed
 * @returns {string}
 * @throws {Error} where a package has no license that it names
 */
export function thirdPartyLicenses(root) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const sections = Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && ((!dev && !devOptional) || VENDORED.includes(path)))
    // Of the packages for other systems one is installed.
    .filter(([path]) => existsSync(join(root, path)))
    .map(([path]) => section(join(root, path)));
  return ['tailgov contains or uses at run time:\n', ...new Set(sections.sort())].join('\n');
}

function section(directory) {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  if (typeof license !== 'string') throw new Error(`${directory}/package.json names no license`);
  const texts = readdirSync(directory)
    .filter((file) => LICENSE_FILE.test(file))
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8').trim());
  return [`${'='.repeat(80)}\n${name} ${version}: ${license}\n`, ...texts, ''].join('\n');
}
