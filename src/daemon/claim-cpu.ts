import { messageOf } from '../core/errors.ts';
import { setFifo, setNice } from '../native/sched.ts';

/**
 * How the loop's thread competes for a CPU. `fifo`: the lowest real-time priority, before every ordinary thread. `nice`: an
 * ordinary thread with the greatest weight. `auto`: the best of them that we may have.
 */
export type Scheduling = 'auto' | 'fifo' | 'nice' | 'normal';

/** The servers that we watch are what makes the CPUs busy: an ordinary thread would queue behind them when it matters. */
const LOWEST_REAL_TIME_PRIORITY = 1;
const MOST_FAVOURED = -20;

/**
 * Called in the thread itself. What is not permitted is said and done without: ticks are then later on busy CPUs.
 *
 * @param setters for tests
 */
export function claimCpu(
  scheduling: Scheduling,
  log: (level: 'info' | 'warn', message: string) => void,
  setters: { readonly setFifo: typeof setFifo; readonly setNice: typeof setNice } = { setFifo, setNice },
): Exclude<Scheduling, 'auto'> {
  const wanted = { auto: ['fifo', 'nice'], fifo: ['fifo'], nice: ['nice'], normal: [] } as const;
  for (const choice of wanted[scheduling]) {
    try {
      if (choice === 'fifo') setters.setFifo(0, LOWEST_REAL_TIME_PRIORITY);
      else setters.setNice(0, MOST_FAVOURED);
      return choice;
    } catch (error) {
      const level = scheduling === 'auto' ? 'info' : 'warn';
      log(
        level,
        `${messageOf(error)}: ticks may come late on busy CPUs; root may, and a unit with RestrictRealtime=no and CAP_SYS_NICE`,
      );
    }
  }
  return 'normal';
}
