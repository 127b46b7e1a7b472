/**
 * The firmware that the guest lacks: small ACPI tables from which the stock kernel's cpufreq drivers learn that the
 * virtual CPUs have frequencies. Each CPU's frequency register is an I/O port that QEMU logs, so that every value which a
 * driver programs reaches the host as one byte. Objects are those of the ACPI specification 6.5, sections 8.4.5 and 8.4.6.
 */

/**
 * `policy-per-cpu`: acpi-cpufreq, each CPU on its own. `policy-per-pair`: acpi-cpufreq, CPUs 0-1 share a policy, 2-3 the
 * next. `clock-per-pair`: acpi-cpufreq, one policy a CPU, but pairs share a clock (freqdomain_cpus). `cppc`: amd-pstate, which
 * sets the performance. `cppc-autonomous`: amd-pstate of newer kernels, which sets a maximum and a preference.
 */
export type TablesName = 'policy-per-cpu' | 'policy-per-pair' | 'clock-per-pair' | 'cppc' | 'cppc-autonomous';

/** The most CPUs that a guest may have; tables name them all, and skip those that are not there. */
export const MAX_CPUS = 8;
/** CPU n's frequency register is this I/O port plus n. */
export const FREQUENCY_PORT = 0x5c0;
/** What acpi-cpufreq is given, fastest first. */
export const P_STATES_MHZ = [3200, 2800, 2400, 2000, 1600, 1200] as const;
/** P-state n is programmed as this byte plus n: the digits 0 to 5, so that a log can be read by eye. */
export const FIRST_P_STATE_BYTE = 0x30;
/** The guest writes this byte to a frequency port to mark a place in the log. No driver programs it: it is a line's end. */
export const STEP_MARK = 0x0a;
/** What amd-pstate is given, on CPPC's abstract scale and in MHz. */
export const CPPC = { highest: 160, nominal: 120, lowestNonlinear: 70, lowest: 60, nominalMhz: 2400, lowestMhz: 1200 };

/**
 * Where the energy preference is programmed: eight bits of a model-specific register. The emulated CPU keeps what is written to
 * this one, the mask of a memory range (MTRR) that is switched off, and does nothing with it.
 */
export const PREFERENCE_REGISTER = { address: 0x20f, firstBit: 24 };

/** Coordination types of _PSD: who keeps the CPUs of a domain together. */
const SOFTWARE_ALL = 0xfc;
const HARDWARE_ALL = 0xfe;

export const isCppc = (name: TablesName): boolean => name.startsWith('cppc');

/** @returns what a byte that a driver has programmed stands for, or undefined where it is none of the tables' */
export function frequencyKhz(name: TablesName, byte: number): number | undefined {
  if (isCppc(name)) return (byte * CPPC.nominalMhz * 1000) / CPPC.nominal;
  const mhz = P_STATES_MHZ[byte - FIRST_P_STATE_BYTE];
  return mhz === undefined ? undefined : mhz * 1000;
}

/** @returns the table's source in ACPI Source Language, for iasl */
export function tableSource(name: TablesName): string {
  switch (name) {
    case 'policy-per-cpu':
      return pStateTable();
    case 'policy-per-pair':
      return pStateTable(SOFTWARE_ALL);
    case 'clock-per-pair':
      return pStateTable(HARDWARE_ALL);
    case 'cppc':
      return cppcTable(false);
    case 'cppc-autonomous':
      return cppcTable(true);
  }
}

function pStateTable(pairCoordination?: number): string {
  const states = P_STATES_MHZ.map((mhz, index) => {
    const milliwatt = mhz * 20;
    const byte = FIRST_P_STATE_BYTE + index;
    return `        Package () { ${mhz}, ${milliwatt}, 10, 10, ${byte}, ${byte} }`;
  });
  return definitionBlock(
    'CPUFREQ',
    `    // Frequency (MHz), power (mW), transition latency (µs), bus-master latency (µs), control byte, status byte
    Name (\\_SB.PSSX, Package ()
    {
${states.join(',\n')}
    })
${forEachCpu((cpu) => {
  const register = `ResourceTemplate () { Register (SystemIO, 8, 0, ${FREQUENCY_PORT + cpu}) }`;
  const pair = pairCoordination === undefined ? undefined : { domain: Math.floor(cpu / 2), type: pairCoordination };
  return `            Name (_PCT, Package () { ${register}, ${register} })
            Method (_PSS, 0, NotSerialized) { Return (\\_SB.PSSX) }
            Name (_PPC, Zero)
${pair === undefined ? '' : `            Name (_PSD, Package () { Package () { 5, 0, ${pair.domain}, ${pair.type}, 2 } })\n`}`;
})}`,
  );
}

const PREFERENCE = `ResourceTemplate () { Register (FFixedHW, 8, ${PREFERENCE_REGISTER.firstBit}, ${PREFERENCE_REGISTER.address}, 4) }`;
/** Ports that nobody listens on. */
const NOWHERE = 0x5d0;

/** @param autonomous the hardware chooses below a maximum, which is what is logged, and by a preference */
function cppcTable(autonomous: boolean): string {
  const port = (number: number) => `ResourceTemplate () { Register (SystemIO, 8, 0, ${number}, 1) }`;
  const absent = 'ResourceTemplate () { Register (SystemMemory, 0, 0, 0, 0) }';
  // Both performance counters are the ACPI power-management timer: they only have to be there and to advance.
  const counter = 'ResourceTemplate () { Register (SystemIO, 32, 0, 0x608, 3) }';
  const enable = 'ResourceTemplate () { Register (SystemIO, 8, 0, 0x5E0, 1) }';
  return definitionBlock(
    'CPPC',
    `    // The kernel uses CPPC only if the platform acknowledges it.
    Method (\\_SB._OSC, 4, NotSerialized) { Return (Arg3) }
${forEachCpu((cpu) => {
  const logged = port(FREQUENCY_PORT + cpu);
  const unseen = port(NOWHERE + cpu);
  return `            Name (_CPC, Package ()
            {
                23, 3, // entries, revision
                ${CPPC.highest}, ${CPPC.nominal}, ${CPPC.lowestNonlinear}, ${CPPC.lowest},
                ${absent}, // guaranteed
                ${autonomous ? unseen : logged}, // desired
                ${autonomous ? `${unseen}, ${logged}` : `${absent}, ${absent}`}, // minimum, maximum
                ${absent}, ${absent}, ${absent}, // tolerance, window, wraparound
                ${counter}, // reference
                ${counter}, // delivered
                ${absent}, // limited
                ${enable},
                ${absent}, ${absent}, ${autonomous ? PREFERENCE : absent}, // autonomous, its window, energy preference
                ${CPPC.nominal}, ${CPPC.lowestMhz}, ${CPPC.nominalMhz} // reference performance; lowest and nominal MHz
            })
`;
})}`,
  );
}

function forEachCpu(body: (cpu: number) => string): string {
  return Array.from({ length: MAX_CPUS }, (_, cpu) => {
    const path = `\\_SB.CPUS.C${cpu.toString(16).toUpperCase().padStart(3, '0')}`;
    return `    External (${path}, ProcessorObj)
    If (CondRefOf (${path}))
    {
        Scope (${path})
        {
${body(cpu)}        }
    }`;
  }).join('\n');
}

const definitionBlock = (tableId: string, body: string) =>
  `DefinitionBlock ("", "SSDT", 2, "TAILGV", "${tableId}", 1)\n{\n${body}\n}\n`;
