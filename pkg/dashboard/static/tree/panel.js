// The panel of the hypothesis tree: the canvas, the search and what steers the camera.
import { Component, html } from '../html.js';
import { count, short } from '../format.js';
import { state, watch } from '../store.js';
import { find, select } from '../actions.js';
import { Camera } from './camera.js';
import { draw } from './draw.js';
import { standing } from './forest.js';
import { listen } from './gestures.js';
import { layout } from './layout.js';
import { step } from './steps.js';
import { onTheme, readTheme } from './theme.js';

const LAYOUT_SHARE = 10; // a layout may take one part of so many of the time

// Canvas draws the tree, when it or the camera has changed.
class Canvas extends Component {
  camera = new Camera();
  collapsed = new Set();
  nodes = [];
  hovered = null;
  placed = {};
  rested = 0; // when the tree may be placed again

  shouldComponentUpdate() {
    return false;
  }

  componentDidMount() {
    this.canvas = this.box.querySelector('canvas');
    this.context = this.canvas.getContext('2d', { alpha: false });
    this.theme = readTheme();
    const resized = new ResizeObserver(() => this.resize());
    resized.observe(this.box);
    const theme = onTheme(() => {
      this.theme = readTheme();
      this.moved();
    });
    const gestures = listen(this.canvas, this);
    const changes = watch(() => this.moved());
    this.props.onReady(this);
    this.end = () => [() => resized.disconnect(), theme, gestures, changes].forEach((f) => f());
  }

  componentWillUnmount() {
    this.end();
  }

  resize() {
    const { width, height } = this.box.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    Object.assign(this.camera, { width, height, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (this.camera.follows) this.camera.fit();
    this.frame();
  }

  // moved has the next frame drawn.
  moved() {
    this.asked ??= requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.asked = undefined;
    if (!this.context || !this.camera.ratio) return;
    this.place();
    const { forest } = state;
    draw(this.context, this.nodes, this.camera, this.theme, {
      nodes: forest.nodes, best: forest.best, selected: forest.nodes.get(state.selected), hovered: this.hovered,
      found: state.found.ids, collapsed: this.collapsed,
    });
  }

  // place lays the tree out if its shape has changed, and not too often. What a person looks at stays where it is.
  place() {
    const { forest } = state;
    const { placed } = this;
    if (placed.forest === forest && placed.shape === forest.shape && placed.folds === this.folds) return;
    const began = performance.now();
    if (placed.forest === forest && placed.folds === this.folds && began < this.rested) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.moved(), this.rested - began + 1);
      return;
    }
    if (placed.forest?.name !== forest.name) {
      this.collapsed = new Set();
      this.camera.follows = true;
    }
    const anchor = this.anchor();
    const before = anchor && { x: this.camera.left(anchor), y: this.camera.top(anchor) };
    this.nodes = layout(forest, this.collapsed);
    this.placed = { forest, shape: forest.shape, folds: this.folds };
    this.rested = performance.now() + LAYOUT_SHARE * (performance.now() - began);
    this.camera.measure(this.nodes);
    if (this.camera.follows) this.camera.fit();
    else if (anchor?.shown) this.camera.pan(before.x - this.camera.left(anchor), before.y - this.camera.top(anchor));
  }

  // anchor is the node that must not move on the screen: the selected one, or the one nearest to the middle.
  anchor() {
    const selected = state.forest.nodes.get(state.selected);
    if (selected?.shown) return selected;
    const { camera } = this;
    let found;
    let distance = Infinity;
    for (const node of this.nodes) {
      const d = Math.abs(camera.left(node) - camera.width / 2) + Math.abs(camera.top(node) - camera.height / 2);
      if (d < distance) [found, distance] = [node, d];
    }
    return found;
  }

  // at is the node at a point of the canvas. Small nodes are hit from nearby.
  at(point) {
    const { camera } = this;
    const { w, h } = camera;
    const near = Math.max(0, 8 - h);
    let found = null;
    let distance = Infinity;
    for (const node of this.nodes) {
      const [x, y] = [camera.left(node), camera.top(node)];
      const dx = Math.max(x - point.x, 0, point.x - x - w);
      const dy = Math.max(y - point.y, 0, point.y - y - h);
      if (dx <= near && dy <= near && dx + dy < distance) [found, distance] = [node, dx + dy];
    }
    return found;
  }

  hover(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    this.canvas.style.cursor = node ? 'pointer' : 'grab';
    this.canvas.title = node ? describe(node) : '';
    this.moved();
  }

  choose(node) {
    select(node ? node.id : '');
  }

  // toggle folds what is below a node, or unfolds it.
  toggle(node) {
    if (!node?.kids.length) return;
    if (!this.collapsed.delete(node.id)) this.collapsed.add(node.id);
    this.folds = (this.folds ?? 0) + 1;
    this.moved();
  }

  fit() {
    this.camera.follows = true;
    this.camera.fit();
    this.moved();
  }

  zoom(factor) {
    this.camera.zoom(factor);
    this.moved();
  }

  // reveal unfolds the way to a node and brings it into view.
  reveal(id) {
    const node = state.forest.nodes.get(id);
    if (!node) return;
    for (let above = node.parent; above; above = above.parent) {
      if (this.collapsed.delete(above.id)) this.folds = (this.folds ?? 0) + 1;
    }
    this.rested = 0;
    this.place();
    this.camera.reveal(node);
    this.moved();
  }

  // key acts on a key and reports whether it did.
  key(key) {
    const selected = state.forest.nodes.get(state.selected);
    const next = step(selected, key, this.nodes, this.collapsed);
    if (next) {
      select(next.id);
      this.reveal(next.id);
      return true;
    }
    const actions = {
      '+': () => this.zoom(1.3), '=': () => this.zoom(1.3), '-': () => this.zoom(1 / 1.3), 0: () => this.fit(),
      ' ': () => this.toggle(selected), Escape: () => select(''),
    };
    actions[key]?.();
    return key in actions;
  }

  render() {
    return html`<div class="canvas" ref=${(element) => { this.box = element; }}>
      <canvas tabindex="0" role="application" aria-label="Hypothesis tree: arrow keys move, space folds, plus and minus zoom, 0 shows all"></canvas>
    </div>`;
  }
}

// describe says a node in words.
function describe(node) {
  const words = [node.id, standing(node) === 'plain' ? 'completed' : standing(node)];
  if (node.value !== undefined) words.push(short(node.value));
  if (node.failure) words.push(node.failure);
  if (node.kids.length) words.push(`${count(node.kids.length)} children`);
  return words.join(', ');
}

// absent says why there is no tree.
function absent() {
  const { run, loading, connection } = state;
  if (run?.archived) return 'The run is archived: nobody leads it. autoresearch run archive NAME --undo takes it up again.';
  if (run?.trouble) return run.trouble;
  if (connection === 'lost') return 'The server, or a leader of the run, does not answer.';
  return loading ? 'Reading the tree…' : 'No experiments yet.';
}

const legend = [
  ['improved', 'improved'], ['plain', 'not improved'], ['running', 'running'], ['queued', 'queued'], ['failed', 'failed'],
];

export class TreePanel extends Component {
  render() {
    const { forest, found, missing, selected } = state;
    const node = forest.nodes.get(selected);
    const next = (by) => {
      const ids = [...found.ids].filter((id) => forest.nodes.has(id));
      if (!ids.length) return;
      const id = ids[(ids.indexOf(selected) + by + ids.length) % ids.length];
      select(id);
      this.canvas.reveal(id);
    };
    const keys = (event) => {
      if (event.key === 'Enter') next(event.shiftKey ? -1 : 1);
      if (event.key === 'Escape') find(event.target.value = '');
    };
    return html`<section class="panel tree" aria-label="Hypothesis tree">
      <header>
        <h2>Hypotheses <span class="soft">${count(forest.nodes.size)}</span></h2>
        <ul class="legend">${legend.map(([name, text]) => html`<li key=${name}><i class=${`dot ${name}`}></i>${text}</li>`)}</ul>
        <input type="search" id="search" placeholder="Search ids, payloads  /" aria-label="Search tasks"
          onInput=${(event) => find(event.target.value)} onKeyDown=${keys} />
        <output class="soft">${found.text && `${count(found.ids.size)}${found.more ? '+' : ''} found`}</output>
        <div class="buttons">
          <button title="Zoom out (−)" aria-label="Zoom out" onClick=${() => this.canvas.zoom(1 / 1.4)}>−</button>
          <button title="Zoom in (+)" aria-label="Zoom in" onClick=${() => this.canvas.zoom(1.4)}>+</button>
          <button title="Show all (0)" onClick=${() => this.canvas.fit()}>Fit</button>
        </div>
      </header>
      <${Canvas} onReady=${(canvas) => { this.canvas = canvas; this.props.onReady(canvas); }} />
      ${forest.nodes.size === 0 && html`<p class="empty over">${absent()}</p>`}
      ${missing > 0 && html`<p class="note over">The first ${count(forest.nodes.size)} of ${count(missing + forest.nodes.size)} tasks are shown.</p>`}
      <p class="hidden" aria-live="polite">${node ? describe(node) : ''}</p>
    </section>`;
  }
}
