#!/usr/bin/env node
/**
 * Writes what packages carry beside the program, made from the commands and from the packages that went into the bundle:
 *
 *   dist/man/tailgov.1
 *   dist/completions/tailgov (bash), dist/completions/_tailgov (zsh)
 *   dist/third-party-licenses.txt
 *   dist/sbom.cdx.json
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandTrees } from './command-tree.mjs';
import { bashCompletion } from './completions/bash-completion.mjs';
import { zshCompletion } from './completions/zsh-completion.mjs';
import { manPage } from './man/man-page.mjs';
import { sbom } from './sbom.mjs';
import { thirdPartyLicenses } from './third-party-licenses.mjs';

/**
 * @param {string} root of the checkout
 * @returns {Promise<void>}
 */
export async function writeReference(root) {
  const commands = await commandTrees(root);
  const { version, description } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const seconds = process.env.SOURCE_DATE_EPOCH;
  const date = new Date(seconds === undefined ? Date.now() : Number(seconds) * 1000).toISOString().slice(0, 10);
  const files = {
    'man/tailgov.1': manPage(commands, { version, description, date }),
    'completions/tailgov': bashCompletion(commands),
    'completions/_tailgov': zshCompletion(commands),
    'third-party-licenses.txt': thirdPartyLicenses(root),
    'sbom.cdx.json': sbom(root),
  };
  for (const [name, contents] of Object.entries(files)) {
    const file = join(root, 'dist', name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, contents);
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await writeReference(dirname(dirname(fileURLToPath(import.meta.url))));
}
