// Progress: the value of each experiment as they ended, and the running best.
import uPlot from '../third_party/uplot/uPlot.esm.js';
import { number } from '../api.js';
import { count, short } from '../format.js';
import { Component, html } from '../html.js';
import { state } from '../store.js';
import { Chart, axes, points } from './chart.js';

export class Progress extends Component {
  render({ onSelect }, { at }) {
    const { history } = state;
    if (this.history !== history) Object.assign(this, { history }, prepare(history));
    const { objective } = history;
    const shown = this.points[at];
    return html`<section class="panel progress" aria-label="Progress">
      <header>
        <h2>Progress${objective && html` <span class="soft">${objective.metric}, ${objective.direction === 'maximize' ? 'higher' : 'lower'} is better</span>`}</h2>
        <output class="readout">${shown && html`<span class="soft">#${shown.order}</span> ${shown.task} <b>${short(shown.value)}</b>`}
          ${!shown && this.outside > 0 && html`<span class="soft">${count(this.outside)} beyond the scale</span>`}</output>
      </header>
      ${this.points.length > 0
        ? html`<${Chart} shape=${objective?.direction} data=${this.data} options=${options}
            onPoint=${(i) => i !== at && this.setState({ at: i })} onChoose=${(i) => this.points[i] && onSelect(this.points[i].task)} />`
        : html`<p class="empty">No experiment has ended with a value yet.</p>`}
    </section>`;
  }
}

// prepare puts a history into columns: order, others, improvements, running best. The scale shows the best nine tenths and
// whatever is near: one experiment that went astray must not flatten all others.
function prepare({ points: all, objective }) {
  const kept = all.filter((point) => Number.isFinite(number(point.value)));
  const values = kept.map((point) => number(point.value));
  const sign = objective?.direction === 'maximize' ? -1 : 1;
  const sorted = values.map((v) => v * sign).sort((a, b) => a - b);
  const limit = sorted[Math.floor(sorted.length * 0.9)] + 0.5 * (sorted[Math.floor(sorted.length * 0.9)] - sorted[0]);
  const near = values.map((v) => (v * sign <= limit ? v : null));
  return {
    points: kept,
    outside: near.filter((v) => v === null).length,
    data: [
      kept.map((point) => point.order),
      kept.map((point, i) => (point.improved ? null : near[i])),
      kept.map((point, i) => (point.improved ? near[i] : null)),
      kept.map((point) => (number(point.best) * sign <= limit ? number(point.best) : null)),
    ],
  };
}

function options(theme) {
  return {
    scales: { x: { time: false, range: (u, min, max) => [min - 0.5, Math.max(max, min + 4) + 0.5] } },
    axes: axes(theme),
    series: [
      {},
      { ...points(theme.plain, 5) },
      { ...points(theme.improved, 8) },
      { stroke: theme.accent, width: 1.6, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
    ],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
  };
}
