import type { Baseline } from './baseline.ts';
import { nmap } from './nmap.ts';
import { ondemand } from './ondemand.ts';
import { pegasus } from './pegasus.ts';
import { powersave } from './powersave.ts';
import { rubik } from './rubik.ts';
import { schedutil } from './schedutil.ts';

/** Every baseline, by the name that a command takes. Full speed is the ready policy `performance`. */
export const baselines: Readonly<Record<string, Baseline>> = { powersave, schedutil, ondemand, pegasus, rubik, nmap };
