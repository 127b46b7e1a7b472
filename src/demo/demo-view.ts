import { formatPercent } from '../core/units.ts';
import { liveLine, liveView, type LiveViewOptions } from '../telemetry/live-view.ts';
import { joules, watts } from './compare-phases.ts';
import { DEMO_POWER_MODEL } from './demo-settings.ts';
import type { CoreSpan } from './modelled-core.ts';
import type { DemoProgress } from './run-demo.ts';
import { clipSpans, spanEnergyJ } from './summarize-phase.ts';

/** The last seconds over which power is shown. */
const POWER_WINDOW_MS = 1000;

/** The demo's screen. */
export function demoView(progress: DemoProgress, options: LiveViewOptions): string[] {
  return liveView(
    {
      heading: `tailgov demo ${progress.phase + 1}/2${progress.simulated ? ', simulated' : ''}: ${progress.name}`,
      ticks: progress.ticks,
      spanMs: progress.phaseMs,
      progress: { elapsedMs: progress.elapsedMs, totalMs: progress.phaseMs },
      figures: [
        { label: 'power', value: `${watts(recentPowerW(progress))} modelled` },
        {
          label: 'energy',
          value: `${joules(energySoFar(progress.spans, progress.startMs, progress))} modelled${againstBaseline(progress)}`,
        },
      ],
      notes: [
        progress.simulated
          ? 'All simulated: server, client, sensor and silicon; the loop is the real one. Ctrl-C ends it.'
          : 'All real but the silicon, which is modelled. Ctrl-C ends it.',
      ],
    },
    options,
  );
}

/** The demo in one line, for output that is no terminal. */
export function demoLine(progress: DemoProgress): string {
  const clock = `${(progress.elapsedMs / 1000).toFixed(0)}/${(progress.phaseMs / 1000).toFixed(0)} s`;
  const tick = progress.ticks.at(-1);
  const service = tick?.services[0];
  const state = tick === undefined || service === undefined ? 'no tick yet' : liveLine(service, tick);
  return `${progress.name}${progress.simulated ? ', simulated' : ''} ${clock}: ${state}, ${watts(recentPowerW(progress))} modelled`;
}

function againstBaseline(progress: DemoProgress): string {
  const { baseline } = progress;
  if (baseline === null) return '';
  const own = energySoFar(progress.spans, progress.startMs, progress);
  const its = energySoFar(baseline.spans, baseline.startMs, progress);
  if (its === 0) return '';
  const saved = 1 - own / its;
  return `, ${saved >= 0 ? `${formatPercent(saved)} less` : `${formatPercent(-saved)} more`} than ${baseline.name} by now (${joules(its)})`;
}

/** From the start of a run to where the present run's book has come. */
function energySoFar(spans: readonly CoreSpan[], startMs: number, progress: DemoProgress): number {
  const bookedMs = (progress.spans.at(-1)?.toMs ?? 0) - progress.startMs;
  return energyBetween(spans, startMs, startMs + Math.min(bookedMs, progress.phaseMs));
}

function recentPowerW({ spans }: DemoProgress): number {
  const toMs = spans.at(-1)?.toMs ?? 0;
  const fromMs = Math.max(toMs - POWER_WINDOW_MS, spans[0]?.fromMs ?? 0);
  return toMs > fromMs ? energyBetween(spans, fromMs, toMs) / ((toMs - fromMs) / 1000) : 0;
}

function energyBetween(spans: readonly CoreSpan[], fromMs: number, toMs: number): number {
  return clipSpans(spans, fromMs, toMs).reduce((total, span) => total + spanEnergyJ(span, DEMO_POWER_MODEL), 0);
}
