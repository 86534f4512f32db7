// How the metrics of an attempt went, one at a time.
import uPlot from '../third_party/uplot/uPlot.esm.js';
import { number } from '../api.js';
import { short } from '../format.js';
import { Component, html } from '../html.js';
import { Chart, axes } from '../panels/chart.js';

// Curve shows series as the API has them; prefers names the metric that is shown first.
export class Curve extends Component {
  render({ series, prefers, note }, { chosen, at }) {
    const drawable = series.filter(({ points }) => points.length > 1);
    const shown = drawable.find(({ metric }) => metric === chosen) ?? drawable.find(({ metric }) => metric === prefers) ?? drawable[0];
    if (!shown) return null;
    if (this.points !== shown.points) {
      this.points = shown.points;
      this.data = [shown.points.map(([step]) => number(step)), shown.points.map(([, value]) => finite(value))];
    }
    const [step, value] = shown.points[at] ?? shown.points.at(-1);
    return html`<section>
      <h3 class="titled">Curve
        <select aria-label="Metric" value=${shown.metric} onChange=${(event) => this.setState({ chosen: event.target.value })}>
          ${drawable.map(({ metric }) => html`<option key=${metric} value=${metric}>${metric}</option>`)}</select>
        <output>${short(step)} <b>${short(value)}</b></output></h3>
      <${Chart} shape=${shown.metric} data=${this.data} options=${options} onPoint=${(i) => i !== at && this.setState({ at: i })} />
      ${note && html`<p class="note">${note}</p>`}
    </section>`;
  }
}

const finite = (value) => (Number.isFinite(number(value)) ? number(value) : null);

function options(theme) {
  return {
    scales: { x: { time: false } },
    axes: axes(theme),
    series: [{}, { stroke: theme.accent, width: 1.6, paths: uPlot.paths.linear(), points: { show: false } }],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
  };
}
