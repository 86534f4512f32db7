// A chart by uPlot that keeps its size, its data and the theme's colours.
import uPlot from '../third_party/uplot/uPlot.esm.js';
import { Component, html } from '../html.js';
import { onTheme, readTheme } from '../tree/theme.js';

// Chart draws data as options(theme) says. A chart of another shape is made anew; new data is only drawn. onPoint is told
// the index under the pointer (null: none), onChoose the index that was clicked.
export class Chart extends Component {
  shouldComponentUpdate(next) {
    if (next.shape !== this.shape) this.make(next);
    else if (next.data !== this.data) this.plot.setData((this.data = next.data));
    return false;
  }

  componentDidMount() {
    const resized = new ResizeObserver(() => this.resize());
    resized.observe(this.box);
    const theme = onTheme(() => this.make(this.props));
    this.end = () => [() => resized.disconnect(), theme, () => this.plot.destroy()].forEach((f) => f());
    this.make(this.props);
  }

  componentWillUnmount() {
    this.end();
  }

  make({ options, shape, data }) {
    this.plot?.destroy();
    Object.assign(this, { shape, data });
    const { width, height } = this.box.getBoundingClientRect();
    const common = {
      width: Math.max(width, 50), height: Math.max(height, 50), padding: [10, 12, 0, 0], legend: { show: false },
      hooks: { setCursor: [(plot) => this.props.onPoint?.(plot.cursor.idx ?? null)] },
    };
    this.plot = new uPlot({ ...common, ...options(readTheme()) }, data, this.box);
    this.plot.over.addEventListener('click', () => this.props.onChoose?.(this.plot.cursor.idx ?? null));
  }

  resize() {
    const { width, height } = this.box.getBoundingClientRect();
    if (width && height) this.plot.setSize({ width, height });
  }

  render() {
    return html`<div class="chart" ref=${(element) => { this.box = element; }}></div>`;
  }
}

const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 8 }, (_, i) => n * 10 ** i)).sort((a, b) => a - b);

// axes are the axes of every chart: whole steps, and values.
export function axes(theme) {
  const style = { stroke: theme.soft, font: theme.figures, grid: { stroke: theme.line, width: 1 }, ticks: { show: false } };
  return [{ ...style, space: 60, size: 26, gap: 6, incrs: WHOLE }, { ...style, space: 30, size: 58, gap: 6 }];
}

// points draws the points of a series alone, filled.
export const points = (fill, size) => ({ paths: () => null, points: { show: true, size, fill, stroke: fill, width: 0 } });
