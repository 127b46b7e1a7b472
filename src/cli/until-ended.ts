const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs what has something to put back however it ends. Its signal is aborted at Ctrl-C, SIGTERM and SIGHUP, and when nobody reads
 * its progress on stderr any more: the reason's message says which.
 */
export async function untilEnded(run: (ended: AbortSignal) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  const end = (why: string) => ending.abort(new Error(why));
  const onSignal = (signal: NodeJS.Signals) => end(`received ${signal}`);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.stderr.on('error', () => end('nobody reads what is said'));
  try {
    await run(ending.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
