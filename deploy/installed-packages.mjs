/**
 * @typedef {Record<string, { version?: string, optional?: boolean }>} LockedPackages by path, as npm's lockfiles have them
 */

/**
 * Whether what npm installed is what the lockfile asks for, no more and no less.
 *
 * @param {LockedPackages} wanted `packages` of package-lock.json
 * @param {LockedPackages} installed `packages` of node_modules/.package-lock.json, which npm writes last
 * @returns {boolean}
 */
export function isInstalled(wanted, installed) {
  // The package without a path is the project itself; optional ones are often other platforms' binaries.
  const complete = Object.entries(wanted).every(([path, { optional }]) => path === '' || optional || path in installed);
  return complete && Object.entries(installed).every(([path, { version }]) => wanted[path]?.version === version);
}
