import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** https://cyclonedx.org/docs/1.5/json/ */
const FORMAT = { bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 };

/**
 * What tailgov is made of at run time, with hashes, as the lockfile has it: the same bytes for the same lockfile.
 *
 * @param {string} root of the checkout
 * @returns {string} CycloneDX, in JSON
 */
export function sbom(root) {
  const { name, version, packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const components = Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
    .map(([path, entry]) => component(path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length), entry));
  const metadata = { component: { type: 'application', name, version, purl: purl(name, version) } };
  return `${JSON.stringify({ ...FORMAT, metadata, components }, null, 2)}\n`;
}

function component(name, { version, license, integrity, optional }) {
  const [algorithm, base64] = integrity.split('-');
  return {
    type: 'library',
    name,
    version,
    purl: purl(name, version),
    // One of several for other systems is no part of what runs here.
    scope: optional ? 'optional' : 'required',
    licenses: [{ expression: license }],
    hashes: [{ alg: algorithm.replace('sha', 'SHA-'), content: Buffer.from(base64, 'base64').toString('hex') }],
  };
}

const purl = (name, version) => `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;
