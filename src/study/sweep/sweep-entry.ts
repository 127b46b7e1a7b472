/** What a worker that runs a sweep's tasks is started with. */
import { serveSweep } from './sweep-thread.ts';

serveSweep();
