/**
 * Units are converted here, at the edges; inside, every quantity carries its unit in its name. Frequencies are in kHz, as
 * cpufreq has them; latencies are in nanoseconds as numbers (exact below 2^53 ns, 104 days); kernel timestamps are bigint.
 */
declare const brand: unique symbol;
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A CPU frequency as cpufreq writes it. */
export type KiloHertz = Branded<number, 'KiloHertz'>;
/** A logical CPU's number, as in /sys/devices/system/cpu/cpuN. */
export type CpuId = Branded<number, 'CpuId'>;

export const kiloHertz = (value: number): KiloHertz => value as KiloHertz;
export const cpuId = (value: number): CpuId => value as CpuId;

export const NS_PER_US = 1_000;
export const NS_PER_MS = 1_000_000;
export const NS_PER_S = 1_000_000_000;

const DURATION_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: NS_PER_US,
  µs: NS_PER_US,
  ms: NS_PER_MS,
  s: NS_PER_S,
  min: 60 * NS_PER_S,
  h: 3600 * NS_PER_S,
  d: 86_400 * NS_PER_S,
};
const FREQUENCY_KHZ: Readonly<Record<string, number>> = { kHz: 1, MHz: 1_000, GHz: 1_000_000 };
const QUANTITY = /^(\d+(?:\.\d+)?)\s*([A-Za-zµ]+)$/;

/** @returns whole nanoseconds, or undefined where the text is no duration such as `5ms`, `1.5s`, `1min`. */
export function parseDurationNs(text: string): number | undefined {
  const ns = parseQuantity(text, DURATION_NS);
  // 1.001 · 1e6 is 1000999.9999999999, and only whole numbers become bigints.
  return ns === undefined ? undefined : Math.round(ns);
}

/** @returns kHz, or undefined where the text is no frequency such as `2.4GHz`, `800MHz`. */
export function parseFrequencyKhz(text: string): KiloHertz | undefined {
  const khz = parseQuantity(text, FREQUENCY_KHZ);
  return khz === undefined ? undefined : kiloHertz(Math.round(khz));
}

/** @returns how much a second, or undefined where the text is no rate such as `0.5/s`, `2/min`. */
export function parseRatePerS(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*\/\s*(s|min|h)$/.exec(text.trim());
  if (match === null) return undefined;
  return (Number(match[1]) * NS_PER_S) / DURATION_NS[match[2]!]!;
}

/** @returns the quantile in 0..1 (`p99` → 0.99, `p99.9` and `p999` → 0.999), or undefined. */
export function parseQuantile(text: string): number | undefined {
  const match = /^p(\d{1,2}(?:\.\d+)?|9\d{2,4})$/.exec(text);
  if (match === null) return undefined;
  const digits = match[1]!;
  const percent = /^\d{3,}$/.test(digits) ? Number(`${digits.slice(0, 2)}.${digits.slice(2)}`) : Number(digits);
  // Without the rounding 99.9 / 100 would be 0.9990000000000001.
  const quantile = Number((percent / 100).toPrecision(12));
  return quantile > 0 && quantile < 1 ? quantile : undefined;
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = QUANTITY.exec(text.trim());
  if (match === null) return undefined;
  const factor = Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  const value = factor === undefined ? NaN : Number(match[1]) * factor;
  return Number.isFinite(value) ? value : undefined;
}

/** `0.99` → `p99`, `0.999` → `p99.9` */
export function formatQuantile(quantile: number): string {
  return `p${Number((quantile * 100).toFixed(6))}`;
}

/** Three significant digits with the unit that reads best: `850 ns`, `12.3 µs`, `1.20 ms`, `3.00 s`. */
export function formatNs(ns: number): string {
  // Rounded before the unit is chosen: 999,999 ns read 1.00 ms, not 1000 µs.
  const rounded = ns < NS_PER_US ? Math.round(ns) : Number(ns.toPrecision(3));
  const [value, unit] =
    rounded < NS_PER_US
      ? [rounded, 'ns']
      : rounded < NS_PER_MS
        ? [rounded / NS_PER_US, 'µs']
        : rounded < NS_PER_S
          ? [rounded / NS_PER_MS, 'ms']
          : [rounded / NS_PER_S, 's'];
  const digits = unit === 'ns' ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

/** `0.1234` → `12.3 %`; never `-0.0 %` */
export const formatPercent = (share: number, digits = 1): string =>
  `${(share * 100).toFixed(digits).replace(/^-(0(\.0*)?)$/, '$1')} %`;

/** `2300000` → `2.30 GHz` */
export function formatKhz(khz: number): string {
  return khz >= 1_000_000 ? `${(khz / 1_000_000).toFixed(2)} GHz` : `${Math.round(khz / 1_000)} MHz`;
}
