import { corei7_1165g7 } from '../core/power-model.ts';

/** The machine that the demo pretends to run on. */
export const DEMO_MOCK = 'intel-pstate-i7-1165g7-8c';
export const DEMO_POWER_MODEL = corei7_1165g7;
/** The frequency domain of the mock that the server's modelled core is in. */
export const SERVER_DOMAIN = 'policy0';
export const SERVER_FREQUENCY_FILE = `devices/system/cpu/cpufreq/${SERVER_DOMAIN}/scaling_cur_freq`;
export const FULL_SPEED_KHZ = 4_700_000;
export const LOWEST_SPEED_KHZ = 400_000;

/** What a request costs: 1.5 ms at full speed in the mean, log-normal; one in a hundred takes 2.8 times as long. */
export const MEAN_CYCLES = 7_050_000;
export const CYCLES_SIGMA = 0.5;
/** Sockets and HTTP around a request: real work, at the real machine's speed. Measured under load on a 2-CPU virtual machine. */
export const WORK_AROUND_MS = 0.1;
/** Requests a second that the server can do at full speed. */
export const CAPACITY_RPS = 1000 / (MEAN_CYCLES / FULL_SPEED_KHZ + WORK_AROUND_MS);
/** Small, so that warming up is quick; the code that runs is the same. */
export const WARM_UP_CYCLES = 1_000_000;

export const SERVICE_NAME = 'web';
export const QUANTILE = 0.99;
/** Some twice the p99 that full speed has under this load. */
export const DEFAULT_SLO_MS = 25;

/** Windows of the sensor's plots; longer where a run is long, so that a plot has some sixty points. */
export const windowMsFor = (durationMs: number) => Math.max(1000, Math.round(durationMs / 60 / 1000) * 1000);
