// Reads metrics from an experiment's progress lines, for the curve of an attempt that goes on.

const PREFIX = '[autoresearch]';
const PAIR = /([A-Za-z_][\w./-]*)=([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?=\s|$)/g;
const POINTS_MAX = 5000;

export class Measures {
  found = new Map(); // points of step and value by metric
  rest = '';
  lines = 0;

  // read takes a piece of the output; lines may be cut anywhere.
  read(text) {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop().slice(-4096);
    for (const line of lines) if (line.startsWith(PREFIX)) this.take(line);
  }

  take(line) {
    const pairs = [...line.matchAll(PAIR)].map(([, name, value]) => [name, Number(value)]);
    const step = pairs.find(([name]) => name === 'step')?.[1] ?? this.lines;
    this.lines++;
    for (const [name, value] of pairs) {
      if (name === 'step') continue;
      const points = this.found.get(name) ?? [];
      // A new list, so that a chart sees the change.
      if (points.length < POINTS_MAX) this.found.set(name, [...points, [step, value]]);
    }
  }

  series() {
    return [...this.found].map(([metric, points]) => ({ metric, points }));
  }
}
