// What an attempt writes, as it comes, and how its metrics go.
import { get, taskPath } from '../api.js';
import { Component, html } from '../html.js';
import { count } from '../format.js';
import { state } from '../store.js';
import { output } from '../stream.js';
import { Curve } from './curve.js';
import { Measures } from './measures.js';

const KEPT = 256 * 1024; // characters that are shown; the oldest go first

// Output follows one attempt of a task. Give it a key of both: it follows for as long as it is there.
export class Output extends Component {
  state = { pieces: [], dropped: 0, series: [] };
  end = new AbortController();
  measures = new Measures();
  size = 0;

  componentDidMount() {
    const { id, attempt } = this.props;
    const { signal } = this.end;
    const path = taskPath(state.name, id, `/logs?attempt=${attempt}`);
    output(path, { signal, onChunk: (chunk) => this.take(chunk) }).catch((error) => this.setState({ trouble: error.message }));
    if (this.props.decided) this.readSeries(signal);
  }

  componentDidUpdate(before) {
    if (this.props.decided && !before.decided) this.readSeries(this.end.signal);
    if (this.follows && this.box) this.box.scrollTop = this.box.scrollHeight;
  }

  componentWillUnmount() {
    this.end.abort();
  }

  async readSeries(signal) {
    try {
      const { series, note } = await get(taskPath(state.name, this.props.id, '/series'), { signal });
      this.setState({ series, note });
    } catch {
      // the curve of the output stays
    }
  }

  // take adds a chunk to what is shown, once a frame.
  take({ pieces }) {
    this.coming ??= [];
    this.coming.push(...pieces);
    this.asked ??= requestAnimationFrame(() => this.show());
  }

  show() {
    const all = [...this.state.pieces, ...this.coming];
    let { dropped } = this.state;
    for (const { stream, text = '' } of this.coming) {
      this.size += text.length;
      if (stream === 'stdout') this.measures.read(text);
    }
    while (this.size > KEPT && all.length > 1) {
      const { length } = all.shift().text ?? '';
      this.size -= length;
      dropped += length;
    }
    this.coming = this.asked = undefined;
    this.follows = !this.box || this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 30;
    this.setState({ pieces: all, dropped });
  }

  render({ objective, children }, { pieces, dropped, series, note, trouble }) {
    return html`<${Curve} series=${series.length ? series : this.measures.series()} prefers=${objective} note=${note} />
      ${children}
      <section><h3>Output</h3>
        ${dropped > 0 && html`<p class="note">${count(dropped)} earlier characters are not shown.</p>`}
        ${trouble && html`<p class="note">${trouble}</p>`}
        ${pieces.length > 0
          ? html`<pre tabindex="0" aria-label="Output" ref=${(element) => { this.box = element; }}>${pieces.map(piece)}</pre>`
          : html`<p class="soft">Nothing was written, or it is no longer kept.</p>`}
      </section>`;
  }
}

function piece({ stream, text, missing }) {
  return html`${missing > 0 && html`<i class="soft">[${count(missing)} bytes are missing]\n</i>`}<span class=${stream}>${text}</span>`;
}
