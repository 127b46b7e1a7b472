/* The live page: fetches what is new once a second and draws it. The shape of the data is DashboardData in dashboard-data.ts. */
(() => {
  'use strict';
  const POLL_MS = 1000;
  const CHART_HEIGHT = 210;
  const MOST_LINES = 8;
  const SPANS_S = { '2 min': 120, '5 min': 300, '15 min': 900 };
  const LIGHT = {
    ink: '#3b424a',
    panel: '#ffffff',
    grid: '#e6e9ed',
    limit: '#c0262d',
    lines: ['#1f5fd6', '#b45f06', '#0f7b4f', '#8b3fc4', '#b8326e', '#00798c', '#7b6a00', '#5c6570'],
    heat: [
      [219, 232, 252],
      [10, 45, 120],
    ],
  };
  const DARK = {
    ink: '#b6bec8',
    panel: '#191d21',
    grid: '#272d33',
    limit: '#ff7b7b',
    lines: ['#6ea8ff', '#f0a85a', '#5fd39b', '#c99bf2', '#f288b6', '#5cd0e0', '#d9c85a', '#9aa4b0'],
    heat: [
      [28, 48, 82],
      [190, 222, 255],
    ],
  };
  const darkScheme = matchMedia('(prefers-color-scheme: dark)');
  const palette = () => (darkScheme.matches ? DARK : LIGHT);
  const byId = (id) => document.getElementById(id);

  /** What the daemon said last, with all seconds and decisions that are kept here. */
  let data = null;
  let spanS = SPANS_S['5 min'];
  let service = decodeURIComponent(window.location.hash.slice(1));

  // --- text

  const rounded = (value) => String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
  const timeText = (us) =>
    us === null || us === undefined
      ? '–'
      : us < 999.5
        ? `${rounded(us)} µs`
        : us < 999_500
          ? `${rounded(us / 1e3)} ms`
          : `${rounded(us / 1e6)} s`;
  const hertzText = (khz) =>
    khz >= 999_500 ? `${Number((khz / 1e6).toFixed(2))} GHz` : `${Math.round(khz / 1e3)} MHz`;
  const percentText = (ratio) => (ratio === null || ratio === undefined ? '–' : `${rounded(ratio * 100)} %`);
  const quantileText = (quantile) => `p${Number((quantile * 100).toFixed(6))}`;
  const clockText = (at) => new Date(at * 1000).toLocaleTimeString('sv');
  const valueText = (unit) => (value) => (value === null || value === undefined ? '–' : unit(value));

  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  // --- charts

  const axis = (unit, size) => ({
    stroke: () => palette().ink,
    font: '11px system-ui, sans-serif',
    grid: { stroke: () => palette().grid, width: 1 },
    ticks: { stroke: () => palette().grid, width: 1 },
    ...(unit === undefined
      ? {}
      : { size, values: (plot, splits) => splits.map((value) => axisText(unit, plot, value)) }),
  });

  /** On a logarithmic axis uPlot offers more splits than fit: names are for 1, 2 and 5 of a power of ten. */
  const axisText = (unit, plot, value) => {
    if (value === null) return '';
    if (plot.scales.y.distr !== 3) return unit(value);
    const lead = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    const spread = plot.scales.y.max / plot.scales.y.min;
    const named = spread > 300 ? [1] : [1, 2, 5];
    return named.some((each) => Math.abs(lead - each) < 1e-6) ? unit(value) : '';
  };

  const timeAxis = {
    ...axis(),
    size: 32,
    values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]],
    space: 70,
  };

  const limitLine = (plot, value, label) => {
    const { ctx, bbox } = plot;
    const at = plot.valToPos(value, 'y', true);
    if (!(at >= bbox.top && at <= bbox.top + bbox.height)) return;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = palette().limit;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.beginPath();
    ctx.moveTo(bbox.left, at);
    ctx.lineTo(bbox.left + bbox.width, at);
    ctx.stroke();
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    // Readable on whatever the label lies upon.
    ctx.setLineDash([]);
    ctx.lineJoin = 'round';
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.strokeStyle = palette().panel;
    ctx.strokeText(label, bbox.left + 4 * devicePixelRatio, at - 4 * devicePixelRatio);
    ctx.fillText(label, bbox.left + 4 * devicePixelRatio, at - 4 * devicePixelRatio);
    ctx.restore();
  };

  const heatColor = (share) => {
    const [from, to] = palette().heat;
    return `rgb(${from.map((channel, index) => Math.round(channel + share * (to[index] - channel))).join(',')})`;
  };

  /** A rectangle for each second and row that holds requests; the more, the stronger, on a logarithmic scale. */
  const drawHeat = (plot) => {
    const seconds = shownSeconds();
    const bounds = data.heatRowBoundsUs;
    const most = Math.max(1, ...seconds.flatMap((second) => evens(second.services[service]?.heat ?? [], 1)));
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const second of seconds) {
      const left = plot.valToPos(second.at, 'x', true);
      const width = Math.max(1, plot.valToPos(second.at + Math.max(1, second.coveredS), 'x', true) - left);
      const heat = second.services[service]?.heat ?? [];
      for (let index = 0; index < heat.length; index += 2) {
        const top = plot.valToPos(bounds[heat[index] + 1], 'y', true);
        const bottom = plot.valToPos(Math.max(bounds[heat[index]], bounds[1]), 'y', true);
        ctx.fillStyle = heatColor(Math.log1p(heat[index + 1]) / Math.log1p(most));
        ctx.fillRect(left, top, Math.ceil(width), Math.ceil(bottom - top));
      }
    }
    ctx.restore();
  };
  const evens = (list, offset) => list.filter((_, index) => index % 2 === offset);

  const now = () => data.services.find(({ name }) => name === service);
  const sloUs = () => now().slo.latencyNs / 1e3;
  const ofService = (pick) => (second) =>
    second.services[service] === undefined ? null : pick(second.services[service], second);
  const fromZero = (least) => (plot, low, high) => [0, Math.max(least, (high ?? 0) * 1.08)];

  /** uPlot counts the marks of a logarithmic axis from its lower end: it must be a whole number of its power of ten. */
  const logRange = (low, high) => {
    const decade = 10 ** Math.floor(Math.log10(low));
    return [Math.floor(low / decade) * decade, high];
  };
  /** Latencies, with the SLO in sight. */
  const latencyRange = (plot, low, high) => {
    const values = [sloUs(), ...[low, high].filter((value) => value !== null && value > 0)];
    return logRange(Math.min(...values) / 1.5, Math.max(...values) * 1.5);
  };
  const heatRange = () => {
    const bounds = data.heatRowBoundsUs;
    let [low, high] = [sloUs() / 2, sloUs() * 2];
    for (const second of shownSeconds()) {
      const heat = second.services[service]?.heat ?? [];
      if (heat.length === 0) continue;
      // Rows come in ascending order.
      low = Math.min(low, Math.max(bounds[heat[0]], bounds[1]));
      high = Math.max(high, bounds[heat.at(-2) + 1]);
    }
    return logRange(low, high);
  };

  const CHARTS = {
    latency: {
      unit: timeText,
      scale: { distr: 3, range: latencyRange },
      lines: () => [
        ['median', ofService(({ p50Us }) => p50Us)],
        [quantileText(now().slo.quantile), ofService(({ tailUs }) => tailUs)],
      ],
      over: (plot) => limitLine(plot, sloUs(), `SLO ${quantileText(now().slo.quantile)} ≤ ${timeText(sloUs())}`),
    },
    heat: {
      unit: timeText,
      scale: { distr: 3, range: heatRange },
      lines: () => [[quantileText(now().slo.quantile), ofService(({ tailUs }) => tailUs), { show: false }]],
      under: drawHeat,
      over: (plot) => limitLine(plot, sloUs(), 'SLO'),
      legend: false,
    },
    load: {
      unit: (value) => `${rounded(value)}/s`,
      scale: { range: fromZero(1) },
      lines: () => [
        ['requests', ofService(({ requests }, { coveredS }) => (coveredS > 0 ? requests / coveredS : null))],
        ['over the SLO', ofService(({ overSlo }, { coveredS }) => (coveredS > 0 ? overSlo / coveredS : null))],
      ],
    },
    split: {
      unit: timeText,
      scale: { range: fromZero(1) },
      lines: () => [
        ['socket wait', ofService(({ socketWaitUs }) => socketWaitUs)],
        ['handling time', ofService(({ handlingTimeUs }) => handlingTimeUs)],
      ],
    },
    level: {
      unit: percentText,
      scale: { range: () => [0, 1.05] },
      stepped: true,
      lines: () => [
        ['applied', ofService(({ level }) => level)],
        ['asked', ofService(({ askedLevel }) => askedLevel), { dash: [5, 3] }],
        ['busiest thread', ofService(({ utilization }) => utilization), { width: 1 }],
      ],
    },
    flight: {
      unit: rounded,
      scale: { range: fromZero(4) },
      lines: () => [['in flight', ofService(({ inFlight }) => inFlight)]],
    },
    frequency: {
      unit: hertzText,
      scale: {
        range: (plot, low, high) => [0, Math.max(high ?? 1, ...data.domains.map(({ maxKhz }) => maxKhz)) * 1.05],
      },
      stepped: true,
      lines: () =>
        data.domains.length <= MOST_LINES
          ? data.domains.map(({ id, cpus }) => [`${id} (CPU ${cpus.join(', ')})`, ({ khz }) => khz[id] ?? null])
          : [
              ['highest', ({ khz }) => extreme(Math.max, khz)],
              ['lowest', ({ khz }) => extreme(Math.min, khz)],
            ],
    },
    power: {
      unit: (value) => `${rounded(value)} W`,
      scale: { range: fromZero(1) },
      lines: () => [[data.power?.source ?? '', ({ watts }) => watts]],
    },
  };
  const extreme = (choose, khz) => {
    const values = Object.values(khz);
    return values.length === 0 ? null : choose(...values);
  };

  let plots = {};
  const shownSeconds = () => {
    const last = data.seconds.at(-1)?.at ?? 0;
    return data.seconds.filter(({ at }) => at > last - spanS);
  };
  const columns = (chart) => {
    const seconds = shownSeconds();
    return [seconds.map(({ at }) => at), ...chart.lines().map(([, pick]) => seconds.map((second) => pick(second)))];
  };

  const draw = (name, place) => {
    const chart = CHARTS[name];
    const options = {
      width: place.clientWidth,
      height: CHART_HEIGHT,
      padding: [10, 30, 0, 0],
      legend: { show: chart.legend !== false },
      cursor: { sync: { key: 'time' }, drag: { x: false, y: false } },
      scales: {
        x: { range: (plot, low, high) => [Math.max(low, high - spanS), Math.max(high, low + 10)] },
        y: chart.scale,
      },
      axes: [timeAxis, axis(chart.unit, 64)],
      series: [
        { label: 'time', value: (plot, at) => (at === null ? '–' : clockText(at)) },
        ...chart.lines().map(([label, , style], index) => ({
          label,
          stroke: () => palette().lines[index % MOST_LINES],
          width: 1.75,
          points: { show: false },
          value: (plot, value) => valueText(chart.unit)(value),
          ...(chart.stepped === true ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
          ...style,
        })),
      ],
      hooks: {
        drawAxes: chart.under === undefined ? [] : [chart.under],
        draw: chart.over === undefined ? [] : [chart.over],
      },
    };
    const plot = new uPlot(options, columns(chart), place);
    showNewest(plot);
    return plot;
  };

  const redraw = () => {
    for (const plot of Object.values(plots)) plot.destroy();
    plots = {};
    if (data === null || now() === undefined) return;
    byId('power').hidden = byId('about-power').hidden = data.power === null;
    for (const name of Object.keys(CHARTS)) {
      const place = byId(name).querySelector('.plot');
      if (!byId(name).hidden) plots[name] = draw(name, place);
    }
  };

  // --- the page around the charts

  const tile = (label, value, detail, bad) =>
    element(
      'div',
      { class: bad ? 'tile bad' : 'tile' },
      element('span', { class: 'label' }, label),
      element('span', { class: 'value' }, value),
      element('span', { class: 'detail' }, detail),
    );

  const showTiles = () => {
    const { slo, compliance, health, utilization } = now();
    const second = data.seconds.at(-1);
    const last = second?.services[service];
    if (last === undefined) return byId('tiles').replaceChildren();
    const tolerated = 1 - slo.quantile;
    const share = compliance.requests === 0 ? 0 : compliance.overSlo / compliance.requests;
    const frequencies = Object.values(second.khz);
    const [low, high] = [Math.min(...frequencies), Math.max(...frequencies)];
    byId('tiles').replaceChildren(
      tile('load', second.coveredS > 0 ? `${rounded(last.requests / second.coveredS)}/s` : '–', health),
      tile(
        `${quantileText(slo.quantile)} of the last second`,
        timeText(last.tailUs),
        `objective ${timeText(sloUs())}`,
        last.tailUs !== null && last.tailUs > sloUs(),
      ),
      tile(
        `over the SLO, last ${rounded(compliance.windowMs / 1000)} s`,
        percentText(share),
        `${compliance.overSlo} of ${compliance.requests}; ${percentText(tolerated)} tolerated`,
        !compliance.met,
      ),
      tile('socket wait, mean', timeText(last.socketWaitUs), `handling time ${timeText(last.handlingTimeUs)}`),
      tile('in flight', String(last.inFlight), `busiest thread ${percentText(utilization)}`),
      tile(
        'level',
        percentText(last.level),
        frequencies.length === 0 ? '' : low === high ? hertzText(high) : `${hertzText(low)} to ${hertzText(high)}`,
      ),
      ...(data.power === null
        ? []
        : [
            tile(
              `power, ${data.power.source}`,
              second.watts === null ? '–' : `${rounded(second.watts)} W`,
              data.power.of,
            ),
          ]),
    );
  };

  const showHead = () => {
    const pill = byId('state');
    const dry = data.mode === 'dry-run';
    pill.textContent = data.state === 'governing' && dry ? 'dry run: latencies are predicted' : data.state;
    pill.className = data.state === 'governing' && !dry ? 'pill' : 'pill warn';
    byId('about').textContent =
      `${data.version} · sensor ${data.sensorMethod ?? '–'} · frequency by ${data.actuatorMethod ?? '–'} · ` +
      `since ${new Date(data.startedAtMs).toLocaleString('sv')}`;
    const { controller, policy, reason, failed, schedule } = now();
    byId('reason').replaceChildren(
      element('strong', {}, controller),
      element('span', { class: 'faint' }, policy),
      element('span', {}, reason),
      ...(failed === null ? [] : [element('span', { class: 'pill bad' }, `controller given up: ${failed}`)]),
      ...(schedule === null
        ? []
        : [element('span', { class: 'faint' }, `schedule: ${schedule.rule ?? 'no rule has fired yet'}`)]),
    );
    if (data.power === null) return;
    byId('power-note').textContent =
      data.power.source === 'measured'
        ? `Measured: ${data.power.of}.`
        : `A model of ${data.power.of}, from frequencies and CPU time; not measured.`;
    byId('power-model').textContent = data.power.about;
  };

  const showServices = () => {
    const buttons = data.services.map(({ name, compliance }) => {
      const button = element('button', { type: 'button', 'aria-pressed': String(name === service) }, name);
      if (!compliance.met) button.append(element('span', { class: 'missed' }, ' SLO missed'));
      button.addEventListener('click', () => choose(name));
      return button;
    });
    byId('services').replaceChildren(...buttons);
  };

  const showTables = () => {
    const change = ({ from, to }) =>
      element(
        'td',
        { class: `short ${to > from ? 'up' : to < from ? 'down' : ''}` },
        from === to ? percentText(to) : `${percentText(from)} → ${percentText(to)}`,
      );
    byId('decisions').replaceChildren(
      ...data.decisions
        .filter((decision) => decision.service === service)
        .slice(-100)
        .reverse()
        .map((decision) =>
          element(
            'tr',
            {},
            element('td', { class: 'short' }, clockText(decision.at)),
            change(decision),
            element('td', {}, decision.reason),
          ),
        ),
    );
    byId('policies').replaceChildren(
      ...data.policies
        .filter((entry) => entry.service === service)
        .reverse()
        .map(({ at, policy, controller, rule }) =>
          element(
            'tr',
            {},
            element('td', { class: 'short' }, clockText(at)),
            element('td', {}, rule === null ? policy : `${policy}, by its schedule: ${rule}`),
            element('td', {}, controller),
          ),
        ),
    );
  };

  const show = () => {
    if (now() === undefined) service = data.services[0]?.name ?? '';
    const empty = now() === undefined;
    byId('empty').hidden = !empty;
    byId('main').hidden = empty;
    if (empty) return;
    showHead();
    showServices();
    showTiles();
    showTables();
    for (const [name, plot] of Object.entries(plots)) {
      plot.setData(columns(CHARTS[name]));
      showNewest(plot);
    }
  };
  /** What the legend says while no cursor asks for another time. */
  const showNewest = (plot) => {
    if (plot.cursor.left < 0) plot.setLegend({ idx: plot.data[0].length - 1 });
  };

  const choose = (name) => {
    service = name;
    window.location.hash = encodeURIComponent(name);
    redraw();
    show();
  };

  const showSpans = () => {
    const buttons = Object.entries(SPANS_S).map(([label, seconds]) => {
      const button = element('button', { type: 'button', 'aria-pressed': String(seconds === spanS) }, label);
      button.addEventListener('click', () => {
        spanS = seconds;
        showSpans();
        show();
      });
      return button;
    });
    byId('spans').replaceChildren(...buttons);
  };

  // --- news

  const mostKept = SPANS_S['15 min'];
  const merge = (news) => {
    // After a restart of the daemon, or where a service came or went, the page begins anew.
    const names = (each) => each.services.map(({ name }) => name).join(' ');
    const begins = data === null || data.startedAtMs !== news.startedAtMs;
    const changed = begins || names(data) !== names(news) || data.domains.length !== news.domains.length;
    data = {
      ...news,
      seconds: [...(begins ? [] : data.seconds), ...news.seconds].slice(-mostKept),
      decisions: [...(begins ? [] : data.decisions), ...news.decisions].slice(-mostKept),
    };
    return changed;
  };

  let failures = 0;
  const poll = async () => {
    const after = data?.seconds.at(-1)?.at ?? -1;
    try {
      const response = await fetch(`dashboard/data?after=${after}&started=${data?.startedAtMs ?? 0}`);
      if (!response.ok) throw new Error(`the daemon answered ${response.status}`);
      const changed = merge(await response.json());
      failures = 0;
      byId('lost').hidden = true;
      show();
      if (changed) redraw();
    } catch (error) {
      failures++;
      byId('lost').textContent = `no answer for ${failures} s: ${error.message}`;
      byId('lost').hidden = false;
    }
    setTimeout(() => void poll(), POLL_MS);
  };

  let waiting;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  darkScheme.addEventListener('change', redraw);
  showSpans();
  void poll();
})();
