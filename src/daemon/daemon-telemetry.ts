import { basename } from 'node:path';
import { messageOf } from '../core/errors.ts';
import type { PowerModel } from '../core/power-model.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import type { TickReport } from '../core/tick-report.ts';
import type { Config } from '../policy/load-config.ts';
import { findPackageEnergy, readPackageEnergyUj } from '../sysfs/package-energy.ts';
import { realTree } from '../sysfs/real-tree.ts';
import { dashboardData } from '../telemetry/dashboard-data.ts';
import { DashboardHistory } from '../telemetry/dashboard-history.ts';
import { dashboardPage } from '../telemetry/dashboard-page.ts';
import type { DaemonStatus, LoopIdentity, PowerStatus, ShownPolicy } from '../telemetry/daemon-status.ts';
import type { DaemonTotals } from '../telemetry/daemon-totals.ts';
import type { Logger } from '../telemetry/logger.ts';
import { exposition, EXPOSITION_TYPE } from '../telemetry/metrics-exposition.ts';
import { MeasuredPower } from '../telemetry/measured-power.ts';
import { choosePowerModel, ModelledPower } from '../telemetry/metrics-power.ts';
import { describeOrigin, type PowerMeter } from '../telemetry/power-meter.ts';
import { isLoopbackHost, type MetricsServer, type Page, startMetricsServer } from '../telemetry/metrics-server.ts';
import type { TimesMessage } from '../telemetry/metrics-times.ts';
import { DaemonMetrics } from '../telemetry/metrics.ts';

export interface ToldTick {
  readonly report: TickReport;
  /** Ticks that were due and did not happen, since the start. */
  readonly missed: number;
  readonly wallMs: number;
}

export interface TelemetryOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly about: Pick<DaemonStatus, 'version' | 'mode' | 'startedAt' | 'sysfs'>;
  /** Not asked before the daemon has been built. */
  readonly status: () => DaemonStatus;
}

/**
 * What the daemon tells of its governing over HTTP: metrics for Prometheus and the live page. It looks on from the main
 * thread; governing never waits for it, nor ends because of it.
 */
export class DaemonTelemetry {
  readonly #options: TelemetryOptions;
  readonly #metrics: DaemonMetrics;
  readonly #history: DashboardHistory;
  readonly #tree: SysfsTree;
  #power: PowerMeter | null = null;
  #powerModel: PowerModel | null = null;
  #server: MetricsServer | null = null;
  #closed = false;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#tree = realTree(options.about.sysfs);
    const { version, mode, startedAt } = options.about;
    const policyOf = (service: string) => this.#policyOf(service);
    this.#metrics = new DaemonMetrics({ version, mode, startedAtMs: Date.parse(startedAt), policyOf });
    this.#history = new DashboardHistory(policyOf);
  }

  /** Where it is told, such as `http://127.0.0.1:9750`; null while nowhere. */
  get url(): string | null {
    return this.#server?.url ?? null;
  }

  /** Null where there are no counters and no model fits, and before the first look. */
  get power(): PowerStatus | null {
    const watts = this.#power?.watts ?? null;
    return this.#power === null || watts === null ? null : { ...this.#power.origin, watts };
  }

  get http2(): DaemonStatus['http2'] {
    return this.#metrics.http2;
  }

  get totals(): Pick<DaemonTotals, 'energy' | 'services'> {
    const energy = this.#power?.energy ?? null;
    return {
      energy: this.#power === null || energy === null ? null : { ...energy, origin: this.#power.origin },
      services: this.#metrics.totals,
    };
  }

  /** Never rejects: a port that is taken is no reason not to govern. */
  async start(): Promise<void> {
    const { metrics } = this.#options.config.telemetry;
    if (metrics === null) return;
    const { log } = this.#options;
    try {
      this.#server = await startMetricsServer(metrics, this.#pages(), (error) => log.warn(`metrics: ${error.message}`));
      if (this.#closed) return this.close();
      log.info(
        `metrics at ${this.#server.url}/metrics${this.#hasDashboard ? `, dashboard at ${this.url}/dashboard` : ''}`,
      );
    } catch (error) {
      log.error(
        `no metrics and no dashboard: ${messageOf(error)}; governing goes on; telemetry.metrics in ${this.#options.config.file} can name another address, or be off`,
      );
    }
  }

  /** CPUs or drivers have come or gone, or another sensor measures. */
  changed(identity: LoopIdentity): void {
    this.#metrics.identify(identity);
    if (this.#power instanceof ModelledPower) this.#power.know(identity.domains);
  }

  ready(identity: LoopIdentity): void {
    this.#metrics.identify(identity);
    this.#power = this.#measuredPower() ?? this.#modelledPower(identity);
    if (this.#power !== null) this.#options.log.info(`power is ${describeOrigin(this.#power.origin)}`);
  }

  /** In a dry run nothing runs slower, and a measurement would say nothing of what governing does. */
  #measuredPower(): MeasuredPower | null {
    if (this.#options.about.mode !== 'govern') return null;
    const probe = findPackageEnergy(this.#tree);
    if (probe.kind === 'refused') {
      const { path, errno } = probe.failure;
      this.#options.log.warn(`power is not measured: read ${this.#tree.root}/${path}: ${errno}`);
    }
    if (probe.kind !== 'found') return null;
    let answered = true;
    return new MeasuredPower(probe.zones, () => {
      const uj = readPackageEnergyUj(this.#tree, probe.zones);
      if (uj === null && answered)
        this.#options.log.warn('an energy counter answers no more: power is not known until it does');
      answered = uj !== null;
      return uj;
    });
  }

  #modelledPower(identity: LoopIdentity): ModelledPower | null {
    this.#powerModel = choosePowerModel(this.#options.config.telemetry.powerModel);
    return this.#powerModel === null ? null : new ModelledPower(this.#powerModel, identity.domains);
  }

  /** @param times of all these ticks, in the order of the services, which are the same in all of them */
  ticks(ticks: readonly ToldTick[], times: readonly (TimesMessage | null)[]): void {
    const nothing = times.map(() => null);
    ticks.forEach((tick, index) => {
      const isNewest = index === ticks.length - 1;
      this.#tick(tick, isNewest ? times : nothing, isNewest);
    });
  }

  #tick({ report, missed, wallMs }: ToldTick, times: readonly (TimesMessage | null)[], isNewest: boolean): void {
    const khz = report.applied.frequencies.flatMap(({ domain, appliedKhz }): [string, number][] =>
      appliedKhz === null ? [] : [[domain, appliedKhz]],
    );
    this.#power?.tick(report.atMs, new Map(khz), isNewest);
    this.#metrics.tick(report, missed, times, wallMs);
    this.#history.tick(report, missed, times, this.#power?.watts ?? null, wallMs);
  }

  close(): void {
    this.#closed = true;
    this.#server?.close();
    this.#server = null;
    this.#tree.close();
  }

  #policyOf(service: string): ShownPolicy {
    const inUse = this.#options.status().changes.policies.find((policy) => policy.service === service);
    return { policy: basename(inUse?.file ?? ''), controller: inUse?.controller ?? '' };
  }

  /** To read a level on a page is one thing, to offer the page to a whole network another. */
  get #hasDashboard(): boolean {
    const { dashboard, metrics } = this.#options.config.telemetry;
    return dashboard === 'on' || (dashboard === 'auto' && metrics !== null && isLoopbackHost(metrics.host));
  }

  #pages(): Readonly<Record<string, Page>> {
    const { status } = this.#options;
    const metrics: Page = {
      type: EXPOSITION_TYPE,
      body: () => exposition(this.#metrics.families(status(), this.#power)),
    };
    const dashboard: Readonly<Record<string, Page>> = {
      '/dashboard': dashboardPage(),
      '/dashboard/data': { type: 'application/json', body: (query) => JSON.stringify(this.#dashboardData(query)) },
    };
    const pages = { '/metrics': metrics, ...(this.#hasDashboard ? dashboard : {}) };
    return { '/': indexPage(Object.keys(pages).filter((path) => path !== '/dashboard/data')), ...pages };
  }

  #dashboardData(query: URLSearchParams) {
    const status = this.#options.status();
    const source = {
      status,
      last: status.last,
      power: this.#power?.origin ?? null,
      powerModel: this.#powerModel,
      policyOf: (service: string) => this.#policyOf(service),
      history: this.#history,
    };
    return dashboardData(source, query);
  }
}

function indexPage(paths: readonly string[]): Page {
  const links = paths.map((path) => `<li><a href="${path}">${path}</a></li>`).join('');
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>tailgov</title><h1>tailgov</h1><ul>${links}</ul></html>\n`;
  return {
    type: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': "default-src 'none'" },
    body: () => html,
  };
}
