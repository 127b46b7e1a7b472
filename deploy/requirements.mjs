/**
 * What the jobs need from the operating system. Add a line here when a build or a test needs one more program, and it is
 * installed, probed and reported everywhere.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @typedef {object} Requirement
 * @property {string} package the Debian package
 * @property {string} for what it is needed for
 * @property {string} [command] present when this is on the PATH
 * @property {readonly string[]} [anyFile] present when one of these files is there
 */

const LIBRARY_DIRECTORIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].flatMap((triplet) => [
  `/usr/lib/${triplet}`,
  `/lib/${triplet}`,
]);

/** @type {Readonly<Record<'run' | 'build' | 'test' | 'vm', readonly Requirement[]>>} */
export const REQUIREMENTS = {
  run: [
    {
      package: 'libbpf1',
      for: 'loading eBPF programs',
      anyFile: [...LIBRARY_DIRECTORIES, '/usr/lib64', '/lib64', '/usr/lib', '/usr/local/lib'].map((directory) =>
        join(directory, 'libbpf.so.1'),
      ),
    },
  ],
  build: [
    { package: 'clang', for: 'compiling eBPF programs', command: 'clang' },
    { package: 'llvm', for: 'stripping eBPF objects', command: 'llvm-strip' },
    {
      package: 'libbpf-dev',
      for: "the eBPF programs' headers",
      anyFile: ['/usr/include/bpf/bpf_helpers.h', '/usr/local/include/bpf/bpf_helpers.h'],
    },
  ],
  test: [
    { package: 'redis-server', for: 'tests against a real server', command: 'redis-server' },
    { package: 'redis-tools', for: "a real server's clients", command: 'redis-benchmark' },
    { package: 'nginx-light', for: 'tests against a real server', command: 'nginx' },
    { package: 'nghttp2-server', for: 'tests against a real HTTP/2 server', command: 'nghttpd' },
    { package: 'nghttp2-client', for: 'tests with a real HTTP/2 client', command: 'h2load' },
    { package: 'haproxy', for: 'tests against a real proxy', command: 'haproxy' },
    { package: 'postgresql', for: 'tests against a real server', anyFile: ['/usr/lib/postgresql'] },
    { package: 'dnsmasq-base', for: 'tests against a real server of DNS', command: 'dnsmasq' },
    { package: 'memcached', for: 'tests against a real server', command: 'memcached' },
    { package: 'runc', for: 'tests against servers in real containers', command: 'runc' },
    { package: 'busybox-static', for: 'what runs in those containers', command: 'busybox' },
    { package: 'openssl', for: 'certificates of test servers', command: 'openssl' },
    { package: 'prometheus', for: 'fetching and checking metrics as operators do', command: 'promtool' },
    { package: 'chromium', for: 'drawing the dashboard', command: 'chromium' },
    { package: 'curl', for: 'running the examples of the documentation', command: 'curl' },
    { package: 'bpftool', for: 'looking at what the kernel has loaded', command: 'bpftool' },
    { package: 'procps', for: 'looking at processes', command: 'ps' },
    { package: 'iproute2', for: 'network namespaces and socket lists', command: 'ip' },
  ],
  vm: [{ package: 'xz-utils', for: 'unpacking the kernel of the test machine', command: 'xz' }],
};

/**
 * @param {...keyof typeof REQUIREMENTS} groups
 * @returns {Requirement[]} what this machine lacks, found without starting a process
 */
export function missingRequirements(...groups) {
  return groups.flatMap((group) => REQUIREMENTS[group]).filter((requirement) => !isPresent(requirement));
}

function isPresent({ command, anyFile = [] }) {
  return anyFile.some((file) => existsSync(file)) || (command !== undefined && isOnPath(command));
}

function isOnPath(command) {
  // A server's directory is often not on the PATH of a user other than root.
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return directories.some((directory) => directory !== '' && isExecutable(join(directory, command)));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
