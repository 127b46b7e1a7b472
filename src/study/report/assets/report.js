/* Draws the charts of a report with uPlot. The data stands in the page, see ReportChart in report-data.ts. */
(() => {
  'use strict';
  const { charts } = JSON.parse(document.getElementById('charts').textContent);
  const LIGHT = {
    ink: '#1a1d21',
    grid: '#e2e6ea',
    limit: '#c0262d',
    runs: ['#7b8490', '#1f5fd6', '#b45f06', '#0f7b4f', '#8b3fc4', '#b8326e'].concat([
      '#00788c',
      '#7a6a00',
      '#5b4db8',
      '#c2451e',
      '#4f7d14',
      '#8a4b3a',
      '#2b3a67',
    ]),
  };
  const DARK = {
    ink: '#c9d0d8',
    grid: '#2c3239',
    limit: '#ff7b7b',
    runs: ['#9aa4b0', '#6ea8ff', '#f0a85a', '#5fd39b', '#c99bf2', '#f288b6'].concat([
      '#4fc3d9',
      '#d6c34a',
      '#a79bff',
      '#ff9272',
      '#a5cf5f',
      '#d3a18f',
      '#8ea2e0',
    ]),
  };
  const HEIGHT = 230;
  const darkScheme = matchMedia('(prefers-color-scheme: dark)');
  let plots = [];

  /** uPlot wants one x for all series: a union of them, with gaps where a series has no point. */
  const align = (chart) => (chart.series.length === 0 ? [[]] : uPlot.join(chart.series.map(({ x, y }) => [x, y])));

  const number = (value) => {
    if (value === null || value === undefined) return '–';
    const size = Math.abs(value);
    return size === 0
      ? '0'
      : size >= 100
        ? value.toFixed(0)
        : size >= 10
          ? value.toFixed(1)
          : size >= 0.01
            ? value.toFixed(2)
            : value.toExponential(1);
  };

  /** On a logarithmic axis uPlot offers more splits than fit: names are for the powers of ten. */
  const names = (scale) => (plot, splits) =>
    splits.map((value) => {
      if (value === null) return '';
      if (scale === 'linear')
        return number(value)
          .replace(/(\.\d*?)0+$/, '$1')
          .replace(/\.$/, '');
      return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9
        ? String(Number(value.toPrecision(6)))
        : '';
    });

  const axis = (label, scale, palette) => ({
    label,
    stroke: palette.ink,
    labelSize: 20,
    labelFont: '12px system-ui, sans-serif',
    font: '11px system-ui, sans-serif',
    grid: { stroke: palette.grid, width: 1 },
    ticks: { stroke: palette.grid, width: 1 },
    values: names(scale),
  });

  const drawLimits = (chart, palette) => (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = palette.limit;
    ctx.fillStyle = palette.limit;
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    // uPlot leaves the alignment of its axes behind.
    ctx.textAlign = 'left';
    ctx.textBaseline = 'alphabetic';
    for (const { label, axis: along, value } of chart.limits) {
      const at = plot.valToPos(value, along, true);
      ctx.beginPath();
      if (along === 'y') {
        if (at < bbox.top || at > bbox.top + bbox.height) continue;
        ctx.moveTo(bbox.left, at);
        ctx.lineTo(bbox.left + bbox.width, at);
        ctx.fillText(label, bbox.left + 4 * ratio, at - 4 * ratio);
      } else {
        if (at < bbox.left || at > bbox.left + bbox.width) continue;
        ctx.moveTo(at, bbox.top);
        ctx.lineTo(at, bbox.top + bbox.height);
        ctx.fillText(label, at + 4 * ratio, bbox.top + 12 * ratio);
      }
      ctx.stroke();
    }
    ctx.restore();
  };

  /** Upright lines through points: the interval that each is in. */
  const drawIntervals = (chart, palette) => (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([]);
    for (const { run, x, y, plusMinus } of chart.series) {
      ctx.strokeStyle = palette.runs[run % palette.runs.length];
      plusMinus?.forEach((half, at) => {
        if (half === null || y[at] === null) return;
        const along = plot.valToPos(x[at], 'x', true);
        ctx.beginPath();
        ctx.moveTo(along, plot.valToPos(y[at] - half, 'y', true));
        ctx.lineTo(along, plot.valToPos(y[at] + half, 'y', true));
        ctx.stroke();
      });
    }
    ctx.restore();
  };

  /** Time starts where the run does; a stretch that was chosen with the mouse is shown as chosen. */
  const startOfRun = (plot, low, high) => [low <= plot.data[0][0] ? Math.min(0, low) : low, high];

  /** Points that stand for a run each: from 0, with the limit in sight and no point cut in half by the edge. */
  const pointsRange = (chart) => (plot, low, high) => {
    const limits = chart.limits.filter((limit) => limit.axis === 'x').map((limit) => limit.value);
    return [0, Math.max(high, ...limits) * 1.2];
  };

  /** From 0, and far enough up to show the limit where values come near it. */
  const linearRange = (chart) => (plot, low, high) => {
    const limits = chart.limits.filter((limit) => limit.axis === 'y').map((limit) => limit.value);
    const near = limits.filter((value) => high === null || value <= high * 4);
    return [0, Math.max(high ?? 1, ...near) * 1.08 || 1];
  };

  /** Close around the values and the limits, where a small difference is what counts. */
  const closeRange = (chart) => (plot, low, high) => {
    const limits = chart.limits.filter((limit) => limit.axis === 'y').map((limit) => limit.value);
    const ends = chart.series.flatMap(({ y, plusMinus }) =>
      (plusMinus ?? []).flatMap((half, at) => (half === null || y[at] === null ? [] : [y[at] - half, y[at] + half])),
    );
    const least = Math.min(low ?? Infinity, ...limits, ...ends);
    const most = Math.max(high ?? -Infinity, ...limits, ...ends);
    if (!(least <= most)) return [0, 1];
    const margin = (most - least) * 0.15 || most * 0.1;
    return [least - margin, most + margin];
  };

  const xRange = (chart) => (chart.series.some(({ style }) => style === 'points') ? pointsRange(chart) : startOfRun);

  const draw = (place, palette) => {
    const chart = charts[Number(place.dataset.chart)];
    const seriesOf = ({ label, run, style }) => ({
      label,
      stroke: palette.runs[run % palette.runs.length],
      width: style === 'points' ? 0 : style === 'dashed' ? 1 : 1.75,
      ...(style === 'dashed' ? { dash: [5, 3] } : {}),
      ...(style === 'step' ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      points:
        style === 'points' ? { show: true, size: 11, fill: palette.runs[run % palette.runs.length] } : { show: false },
      spanGaps: true,
      value: (plot, value) => number(value),
    });
    return new uPlot(
      {
        width: place.clientWidth,
        height: HEIGHT,
        padding: [10, 12, 0, 0],
        scales: {
          x: { time: false, ...(chart.xScale === 'log' ? { distr: 3 } : { range: xRange(chart) }) },
          y:
            chart.yScale === 'log'
              ? { distr: 3 }
              : { range: chart.yFrom === 'data' ? closeRange(chart) : linearRange(chart) },
        },
        // Charts over the same quantity share their cursor.
        cursor: { sync: { key: chart.xLabel }, drag: { x: true, y: false } },
        axes: [axis(chart.xLabel, chart.xScale, palette), { ...axis(chart.yLabel, chart.yScale, palette), size: 56 }],
        series: [{ label: chart.xLabel, value: (plot, value) => number(value) }, ...chart.series.map(seriesOf)],
        hooks: { draw: [drawLimits(chart, palette), drawIntervals(chart, palette)] },
      },
      align(chart),
      place,
    );
  };

  const drawAll = (palette) => {
    for (const plot of plots) plot.destroy();
    plots = [...document.querySelectorAll('[data-chart]')].map((place) => draw(place, palette));
  };
  const redraw = () => drawAll(darkScheme.matches ? DARK : LIGHT);

  let waiting;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  darkScheme.addEventListener('change', redraw);
  // Paper is white, whatever the screen is.
  addEventListener('beforeprint', () => drawAll(LIGHT));
  addEventListener('afterprint', redraw);
  redraw();
})();
