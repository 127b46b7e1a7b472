import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './daemon.ts';
import { freePort } from './servers.ts';

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Time and value. */
  readonly values: readonly (readonly [number, string])[];
}

/** A real Prometheus, alone in a folder of its own, that fetches once a second. */
export class Prometheus {
  readonly startedAtS = Date.now() / 1000;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #url: string;
  #complaints = '';

  private constructor(folder: string, process: ChildProcess, url: string) {
    this.#folder = folder;
    this.#process = process;
    this.#url = url;
    process.stderr!.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
  }

  static async start(target: string, ruleFile: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'tailgov-prometheus-'));
    const port = await freePort();
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${JSON.stringify(ruleFile)}]
scrape_configs: [{ job_name: tailgov, static_configs: [{ targets: [${JSON.stringify(target)}] }] }]
`,
    );
    const process = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const prometheus = new Prometheus(folder, process, `http://127.0.0.1:${port}`);
    await until(
      'Prometheus is ready',
      async () => (await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => null))?.ok ?? false,
    );
    return prometheus;
  }

  /** The value of the one series that the query finds; null where it finds none. */
  async value(query: string): Promise<number | null> {
    const result = await this.#ask<{ value: [number, string] }>('query', { query });
    if (result.length > 1) throw new Error(`${query} finds ${result.length} series, expected one`);
    return result.length === 0 ? null : Number(result[0]!.value[1]);
  }

  /** What the query finds at any time since the start. */
  history(query: string): Promise<readonly Series[]> {
    const end = String(Date.now() / 1000);
    return this.#ask<Series>('query_range', { query, start: String(this.startedAtS), end, step: '1' });
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask<T>(endpoint: string, parameters: Record<string, string>): Promise<readonly T[]> {
    const response = await fetch(`${this.#url}/api/v1/${endpoint}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    });
    const answer = (await response.json()) as { status: string; error?: string; data?: { result: T[] } };
    if (answer.status !== 'success') throw new Error(`${parameters['query']}: ${answer.error}${this.#complaints}`);
    return answer.data!.result;
  }
}
