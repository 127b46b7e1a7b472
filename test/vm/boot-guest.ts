/** Boots the guest with a folder of the test's in it, runs that folder's script as root, and tells what came of it. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FREQUENCY_PORT, MAX_CPUS, type TablesName } from './acpi-tables.ts';
import { ensureImages, type KernelChoice } from './images.ts';

export interface GuestOptions {
  /** Seen in the guest as /vm, writable. Holds `run.sh`, or `run.mjs` for Node; in systemd mode `units/` too. */
  readonly folder: string;
  /** CPUs, 1 to 8; 2 unless told. */
  readonly smp?: number;
  /** The cpufreq hardware that the guest finds; `policy-per-cpu` unless told. */
  readonly tables?: TablesName;
  /** `stock` unless told. */
  readonly kernel?: KernelChoice;
  /** QEMU's CPU model. amd-pstate asks for an AMD one, which `cppc` implies. */
  readonly cpu?: string;
  /** More for the kernel's command line, such as `cpufreq.default_governor=performance`. */
  readonly append?: string;
  /** PID 1 is systemd, with the units of `folder` and none of the host's; `journal` adds journald. */
  readonly systemd?: boolean | { readonly journal: boolean };
  readonly memoryMb?: number;
  /** From power on to power off; a boot takes 5 to 12 s on an idle machine, with systemd 17 s. */
  readonly timeoutMs?: number;
}

export interface GuestResult {
  /** The script's exit status. */
  readonly status: number;
  /** Everything that the guest printed: kernel, init and script. */
  readonly console: string;
  /** By CPU: the bytes that the cpufreq driver has programmed, in order, with the marks that the guest has set. */
  readonly pstates: readonly Buffer[];
  /** From power on to power off. */
  readonly tookMs: number;
}

/** amd-pstate asks for an AMD one, in active mode for one that had CPPC. */
const CPU_MODELS: Readonly<Record<TablesName, string>> = {
  'policy-per-cpu': 'Nehalem',
  'policy-per-pair': 'Nehalem',
  'clock-per-pair': 'Nehalem',
  cppc: 'EPYC',
  'cppc-autonomous': 'EPYC-Rome',
};
const CONSOLE_TAIL_LINES = 40;
/** Now and then the emulated machine hangs before its kernel says a word: one that is silent for so long is started anew. */
const MOST_SILENT_MS = 90_000;
const MOST_STARTS = 3;

/**
 * One boot takes seconds: do many checks in it. QEMU runs on one CPU of this machine, below other work, and dies with the
 * process that called.
 *
 * @throws Error with the end of the guest's console when the guest does not come to an end in time, or ends before its
 *   script has
 */
export async function bootGuest(options: GuestOptions): Promise<GuestResult> {
  const { smp = 2, tables = 'policy-per-cpu', timeoutMs = 240_000 } = options;
  if (!Number.isInteger(smp) || smp < 1 || smp > MAX_CPUS) throw new Error(`boot a guest: smp is ${smp}, not 1 to 8`);
  const folder = resolve(options.folder);
  await ensureScript(folder);
  const statusFile = join(folder, 'exit-status');
  await rm(statusFile, { force: true });

  const images = await ensureImages(options.kernel);
  const scratch = await mkdtemp(join(tmpdir(), 'tailgov-vm-'));
  try {
    const consoleFile = join(scratch, 'console');
    const pstateFiles = Array.from({ length: smp }, (_, cpu) => join(scratch, `pstates-${cpu}`));
    const machine = [
      [
        '-machine',
        'q35',
        '-accel',
        // On one CPU of the host, several that spin for one another come to nothing, and now and then hang.
        'tcg,thread=single',
        '-cpu',
        options.cpu ?? CPU_MODELS[tables],
      ],
      ['-smp', String(smp), '-m', String(options.memoryMb ?? 1024)],
      ['-nodefaults', '-display', 'none', '-no-reboot', '-serial', `file:${consoleFile}`],
      ['-kernel', images.kernel, '-initrd', images.initramfs, '-append', commandLine(options)],
      ['-acpitable', `file=${images.tables[tables]}`],
      ...pstateFiles.flatMap((file, cpu) => [
        ['-chardev', `file,id=pstates${cpu},path=${file}`],
        ['-device', `isa-debugcon,chardev=pstates${cpu},iobase=${FREQUENCY_PORT + cpu}`],
      ]),
      share('host', '/', 'readonly=on'),
      share('vm', folder),
    ].flat();

    const startMs = performance.now();
    const start = () =>
      runQemu(images.qemu, [...images.qemuArguments, ...machine], images.environment, timeoutMs, consoleFile);
    let end = await start();
    for (let starts = 1; end === SILENT && starts < MOST_STARTS; starts++) end = await start();
    const tookMs = performance.now() - startMs;
    const text = existsSync(consoleFile) ? (await readFile(consoleFile, 'utf8')).replaceAll('\r', '') : '';
    if (end !== undefined) throw new Error(`boot a guest: ${end}${tail(text)}`);
    if (!existsSync(statusFile)) throw new Error(`boot a guest: it ended before its script had${tail(text)}`);
    return {
      status: Number(await readFile(statusFile, 'utf8')),
      console: text,
      pstates: await Promise.all(pstateFiles.map((file) => readFile(file))),
      tookMs,
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function ensureScript(folder: string): Promise<void> {
  const script = join(folder, 'run.sh');
  if (existsSync(script)) return;
  if (!existsSync(join(folder, 'run.mjs'))) throw new Error(`boot a guest: no run.sh or run.mjs in ${folder}`);
  await writeFile(script, 'exec "$GUEST_NODE" /vm/run.mjs\n');
}

/** The kernel gives the guest's init each unknown `name=value` without a dot as a variable. */
function commandLine({ tables, append = '', systemd = false }: GuestOptions): string {
  const journal = typeof systemd === 'object' && systemd.journal;
  return [
    // A panic ends the guest at once instead of letting it hang.
    'console=ttyS0 quiet loglevel=4 panic=-1',
    tables === 'cppc' ? 'amd_pstate=passive' : tables === 'cppc-autonomous' ? 'amd_pstate=active' : '',
    `guest_mode=${systemd === false ? 'run' : 'systemd'} guest_journal=${journal ? 1 : 0} guest_node=${process.execPath}`,
    systemd === false ? '' : 'systemd.log_target=kmsg',
    append,
  ].join(' ');
}

/** A directory of this machine, shared over 9p. */
function share(tag: string, path: string, ...flags: readonly string[]): readonly string[] {
  const source = [`local,id=${tag},path=${path},security_model=none,multidevs=remap`, ...flags].join(',');
  return ['-fsdev', source, '-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`];
}

const SILENT = `no word for ${MOST_SILENT_MS / 1000} s`;

/** @returns what went wrong, or undefined when QEMU ended by itself in good order */
function runQemu(
  qemu: string,
  qemuArguments: readonly string[],
  environment: NodeJS.ProcessEnv,
  timeoutMs: number,
  consoleFile: string,
): Promise<string | undefined> {
  // setpriv: the kernel kills QEMU when this process dies, however it does.
  const wrapper = ['--pdeathsig', 'KILL', 'taskset', '-c', lastAllowedCpu(), 'nice', '-n', '5', qemu];
  return new Promise((settle, reject) => {
    const child = spawn('setpriv', [...wrapper, ...qemuArguments], {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let complaint = '';
    let silent = false;
    const listening = setTimeout(() => {
      silent = !existsSync(consoleFile) || statSync(consoleFile).size === 0;
      if (silent) child.kill('SIGKILL');
    }, MOST_SILENT_MS);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(listening);
      if (silent) settle(SILENT);
      else if (status === 0) settle(undefined);
      else if (signal === 'SIGKILL') settle(`no end after ${timeoutMs / 1000} s`);
      else settle(`QEMU ended with ${signal ?? status}: ${complaint.trim()}`);
    });
  });
}

/** The highest CPU that this process may run on: the others keep the rest. */
function lastAllowedCpu(): string {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;
  return /(\d+)$/.exec(list)![1]!;
}

const tail = (text: string) =>
  text.trim() === ''
    ? ', and it printed nothing'
    : `; its console's end:\n${text.trimEnd().split('\n').slice(-CONSOLE_TAIL_LINES).join('\n')}`;
