/** What a report shows: plain data about one or more runs side by side. All text is escaped by the builder. */
export interface ReportData {
  readonly title: string;
  /** The answer, in a sentence or two. */
  readonly verdict: string;
  /** How the verdict is to be read at a glance. */
  readonly verdictTone: 'good' | 'mixed' | 'bad';
  /** Paragraphs under the verdict: what this is, what is measured and what is modelled. */
  readonly introduction: readonly string[];
  readonly keyFigures: readonly ReportFigure[];
  /** The runs' names; a series says by index whose it is. Colours follow this order. */
  readonly runs: readonly string[];
  readonly table: ReportTable;
  readonly charts: readonly ReportChart[];
  /** Long tables, folded away. */
  readonly details: readonly ReportTable[];
  readonly facts: readonly ReportFacts[];
  /** The last line: what made this, and when. */
  readonly footer: string;
}

export interface ReportFigure {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
}

export interface ReportTable {
  readonly title: string;
  readonly columns: readonly string[];
  /** The first cell of a row is its heading. */
  readonly rows: readonly (readonly string[])[];
  readonly note?: string;
}

export interface ReportFacts {
  readonly title: string;
  readonly items: readonly { readonly label: string; readonly value: string }[];
}

export interface ReportChart {
  readonly title: string;
  /** What it shows and how to read it. */
  readonly note?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xScale: 'linear' | 'log';
  readonly yScale: 'linear' | 'log';
  /** Of a linear y axis: default zero. */
  readonly yFrom?: 'zero' | 'data';
  readonly series: readonly ReportSeries[];
  /** Lines across the whole chart, such as an SLO. */
  readonly limits: readonly ReportLimit[];
}

export interface ReportSeries {
  readonly label: string;
  /** Index into `runs`. */
  readonly run: number;
  readonly style: 'line' | 'dashed' | 'step' | 'points';
  /** Ascending. On a logarithmic scale values are above 0. */
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
  /** Of points: half of the interval that y is in; null where it is not known. */
  readonly plusMinus?: readonly (number | null)[];
}

export interface ReportLimit {
  readonly label: string;
  readonly axis: 'x' | 'y';
  readonly value: number;
}
